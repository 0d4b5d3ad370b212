//! Which web pages may open a socket: browsers send one from anywhere, with cookies, and say only
//! by `Origin` where they are (RFC 6455 §10.2).

use url::Url;

use crate::gate::Ctx;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::hosts::without_port;

/// 403 for pages of other sites. Programs that are no browsers send no origin.
pub fn check(ctx: &Ctx) -> ApiResult<()> {
    let Some(sent) = ctx.req.http.headers().get("origin") else {
        return Ok(());
    };
    let origin = sent.to_str().ok().and_then(|o| Url::parse(o).ok());
    let known = origin.is_some_and(|o| is_known(ctx, &o));
    if known {
        Ok(())
    } else {
        Err(ApiError::forbidden(
            "Pages of this origin may not open a socket here",
        ))
    }
}

fn is_known(ctx: &Ctx, origin: &Url) -> bool {
    let Some(host) = origin.host_str() else {
        return false;
    };
    let hosts = &ctx.req.hosts;
    let with_port = match origin.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let same = if hosts.effective == hosts.name {
        with_port.eq_ignore_ascii_case(&hosts.header)
    } else {
        host.eq_ignore_ascii_case(without_port(&hosts.effective))
    };
    same || super::strategies::is_portal(ctx, host)
}
