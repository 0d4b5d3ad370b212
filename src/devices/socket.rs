//! Challenges pushed to a device for as long as it has its page open.

use serde_json::{Value as Json, json};

use crate::app::App;
use crate::devices::{questions, signed};
use crate::gate::{Ctx, origin};
use crate::http::Reply;
use crate::http::error::ApiResult;
use crate::http::sockets::{self, CloseCode, End, Line};

/// The device is none of the account any more, or the account may not be used.
const REMOVED: CloseCode = CloseCode::Other(4401);

/// `GET /api/{group}/devices/socket`: the open challenges, and again whenever they change.
pub async fn open(ctx: Ctx) -> ApiResult<Reply> {
    origin::check(&ctx)?;
    let signer = signed::of_request(&ctx).await?;
    let app = App::clone(&ctx.app);
    let group = ctx.group_id()?.to_owned();
    let place = app.sockets.enter(ctx.req.hosts.peer, &group)?;
    let (device, account) = (signer.device.id, signer.account.id);
    let (all, clock) = (&ctx.app.sockets, app.clock.clone());
    sockets::accept(&ctx.req, all, clock, place, |line| {
        serve(app, group, account, device, line)
    })
}

async fn serve(app: App, group: String, account: String, device: String, mut line: Line) {
    // so that the first look is told whatever there is
    let mut tag = String::from("none");
    loop {
        let changed = questions::changed(&app, &group, &account, Some(&tag), i64::MAX);
        let open = tokio::select! {
            open = changed => open,
            end = line.listen() => {
                if let End::Close(code, reason) = end {
                    line.close(code, reason).await;
                }
                return;
            }
            () = app.stopped() => {
                return line.close(CloseCode::Away, "the server stops; ask another one").await;
            }
        };
        let open = match open {
            Ok(open) => open,
            Err(cause) => {
                tracing::warn!(%cause, "challenges could not be pushed to a device");
                return line.close(CloseCode::Again, "try again later").await;
            }
        };
        // whoever lost the device may have taken it away meanwhile
        if !matches!(signed::signer(&app, &group, &device).await, Ok(Some(_))) {
            return line.close(REMOVED, "the device was removed").await;
        }
        let shown: Vec<Json> = open
            .challenges
            .iter()
            .map(|c| questions::shown(c))
            .collect();
        if !line.say(json!({ "challenges": shown }).to_string()).await {
            return;
        }
        tag = open.tag;
    }
}
