//! Login sessions of browsers: cookie, contents, and how they change.

use std::sync::Arc;

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{HeaderValue, SET_COOKIE};
use ueauth_actors::{ActorError, Draft, Record as Item, UpdateError};

use crate::app::App;
use crate::gate::Ctx;
use crate::http::cookies::{self, Attributes};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply};
use crate::oidc::journal;
use crate::oidc::records::{ClientAuthorization, LogoutState, Record, Session};
use crate::store::StoreError;

impl From<ActorError> for ApiError {
    fn from(e: ActorError) -> Self {
        match e {
            ActorError::Busy { retry_after_secs } => ApiError::busy(retry_after_secs),
            other if other.is_retryable() => {
                tracing::warn!(cause = %other, "what an actor keeps can not be used now");
                ApiError::busy(1)
            }
            // removed or renamed by a request of another tab; the next one finds out which
            ActorError::NotFound => ApiError::busy(1),
            other => ApiError::internal(other),
        }
    }
}

impl<E: Into<ApiError>> From<UpdateError<E>> for ApiError {
    fn from(e: UpdateError<E>) -> Self {
        match e {
            UpdateError::Refused(e) => e.into(),
            UpdateError::Actor(e) => e.into(),
        }
    }
}

/// A sliding expiry is written at most this often (s).
const SLIDE_EVERY: i64 = 60;

/// The session with that uid in the group, as it is stored: its keeper would read it there too,
/// on another thread.
pub async fn by_uid(
    app: &App,
    group: &str,
    uid: &str,
) -> Result<Option<Arc<Record<Session>>>, StoreError> {
    let sessions = app.store.of::<Record<Session>>();
    let found = sessions
        .read_by("payload.uid", uid, |s| s.payload.uid == uid)
        .await?;
    Ok(found.filter(|s| journal::is_of(s, group)))
}

/// Does the session hold the grant for the client, with that account signed in?
pub fn carries(session: &Session, account: &str, client: &str, grant: &str) -> bool {
    session.account_id.as_deref() == Some(account)
        && session
            .authorizations
            .get(client)
            .and_then(|a| a.grant_id.as_deref())
            == Some(grant)
}

/// Ends every session of an account.
pub async fn end_all(app: &App, group: &str, account: &str) -> Result<usize, ActorError> {
    app.actors
        .sessions(group)
        .remove_by_key(&format!("account:{account}"))
        .await
}

/// How somebody has just signed in.
#[derive(Debug, Clone, Default)]
pub struct Login {
    pub account: String,
    pub at: i64,
    pub acr: Option<String>,
    pub amr: Vec<String>,
}

#[derive(Debug, Clone)]
enum Edit {
    Authorize(String, ClientAuthorization),
    Forget(String),
    Login(Login),
    State(Option<LogoutState>),
}

impl Edit {
    fn apply(&self, session: &mut Session) {
        match self {
            Self::Authorize(client, entry) => {
                session.authorizations.insert(client.clone(), entry.clone());
            }
            Self::Forget(client) => {
                session.authorizations.remove(client);
            }
            Self::Login(login) => {
                session.account_id = Some(login.account.clone());
                session.login_ts = Some(login.at);
                session.acr.clone_from(&login.acr);
                session.amr.clone_from(&login.amr);
            }
            Self::State(state) => session.state.clone_from(state),
        }
    }
}

/// The session of the browser that sent the request, and what the request does to it.
#[derive(Debug)]
pub struct Browser {
    /// The id under which the session is stored, if it is.
    stored: Option<String>,
    session: Session,
    edits: Vec<Edit>,
    rotate: bool,
    gone: bool,
}

fn cookie_name(ctx: &Ctx) -> ApiResult<String> {
    Ok(format!("{}_session", ctx.tenant()?.group.pretty_name))
}

fn keys_of(session: &Session) -> Vec<String> {
    let mut keys = vec![format!("uid:{}", session.uid)];
    keys.extend(session.account_id.iter().map(|a| format!("account:{a}")));
    keys
}

impl Browser {
    /// The session the cookie names, or a new one that is not stored before it holds something.
    pub async fn load(ctx: &Ctx) -> ApiResult<Self> {
        let tenant = ctx.tenant()?;
        let name = cookie_name(ctx)?;
        let headers = ctx.req.http.headers();
        let id = cookies::verified(headers, &name, &tenant.cookie_keys)
            .or_else(|| cookies::verified(headers, &format!("{name}.legacy"), &tenant.cookie_keys));
        if let Some(id) = id
            && let Some(found) = ctx.app.actors.sessions(tenant.id()).get(&id).await?
        {
            return Ok(Self {
                stored: Some(id),
                session: (*found).clone(),
                edits: Vec::new(),
                rotate: false,
                gone: false,
            });
        }
        Ok(Self::fresh(ctx))
    }

    fn fresh(ctx: &Ctx) -> Self {
        let session = Session {
            uid: ctx.app.random.id21(),
            kind: "Session".into(),
            iat: ctx.app.now(),
            ..Default::default()
        };
        Self {
            stored: None,
            session,
            edits: Vec::new(),
            rotate: false,
            gone: false,
        }
    }

    pub fn session(&self) -> Session {
        self.session.clone()
    }

    pub fn view(&self) -> &Session {
        &self.session
    }

    /// The id in the cookie, as long as the session is stored.
    pub fn id(&self) -> Option<&str> {
        self.stored.as_deref()
    }

    fn edit(&mut self, edit: Edit) {
        edit.apply(&mut self.session);
        self.edits.push(edit);
    }

    pub fn authorize(&mut self, client: &str, entry: ClientAuthorization) {
        if self.session.authorizations.get(client) != Some(&entry) {
            self.edit(Edit::Authorize(client.to_owned(), entry));
        }
    }

    pub fn forget_client(&mut self, client: &str) {
        self.edit(Edit::Forget(client.to_owned()));
        self.rotate = true;
    }

    pub fn set_state(&mut self, state: Option<LogoutState>) {
        self.edit(Edit::State(state));
    }

    /// Signs an account in. The session gets a new id, so that a planted one is worth nothing;
    /// another account's session is left behind.
    pub async fn login(&mut self, ctx: &Ctx, login: Login) -> ApiResult<()> {
        if self
            .session
            .account_id
            .as_ref()
            .is_some_and(|a| *a != login.account)
        {
            crate::oidc::logout::end_session(ctx, self).await?;
            *self = Self::fresh(ctx);
        }
        self.edit(Edit::Login(login));
        self.rotate = true;
        Ok(())
    }

    /// Deletes the session; its cookies are cleared with the answer.
    pub async fn destroy(&mut self, ctx: &Ctx) -> ApiResult<()> {
        if let Some(id) = self.stored.take() {
            ctx.app.actors.sessions(ctx.group_id()?).remove(&id).await?;
        }
        self.gone = true;
        Ok(())
    }

    /// Writes what has changed and puts the cookies on the answer.
    pub async fn finish(&mut self, ctx: &Ctx, mut reply: Reply) -> ApiResult<Reply> {
        let tenant = ctx.tenant()?;
        if self.gone {
            return clear_cookies(ctx, reply);
        }
        let holds_something = self.session.account_id.is_some() || self.session.state.is_some();
        if self.stored.is_none() && !holds_something {
            return Ok(reply);
        }
        let now = ctx.app.now();
        // a session in which nobody is signed in only guards one form
        let life = if self.session.account_id.is_some() {
            tenant.ttl.session
        } else {
            tenant.ttl.interaction
        };
        let exp = now.saturating_add(life);
        let slide = exp - self.session.exp >= SLIDE_EVERY;
        let sessions = ctx.app.actors.sessions(tenant.id());
        let edits = std::mem::take(&mut self.edits);
        let edited = !edits.is_empty();
        let change = move |session: &mut Session, id: Option<&str>| {
            for edit in &edits {
                edit.apply(session);
            }
            session.exp = exp;
            if let Some(id) = id {
                id.clone_into(&mut session.jti);
            }
        };
        match self.stored.clone() {
            None => {
                let id = ctx.app.random.id21();
                change(&mut self.session, Some(&id));
                let mut item =
                    Item::new(id.clone(), self.session.clone()).until(exp.saturating_mul(1000));
                item.keys = keys_of(&self.session);
                sessions.create(item).await?;
                self.stored = Some(id);
            }
            Some(old) if self.rotate => {
                let id = ctx.app.random.id21();
                let new = id.clone();
                sessions
                    .rotate(&old, &id, move |draft: &mut Draft<Session>| {
                        change(&mut draft.value, Some(&new));
                        draft.deadline = Some(exp.saturating_mul(1000));
                        draft.keys = keys_of(&draft.value);
                        Ok::<_, ApiError>(())
                    })
                    .await?;
                self.stored = Some(id);
            }
            Some(id) if slide || edited => {
                sessions
                    .update_draft(&id, move |draft: &mut Draft<Session>| {
                        change(&mut draft.value, None);
                        draft.deadline = Some(exp.saturating_mul(1000));
                        draft.keys = keys_of(&draft.value);
                        Ok::<_, ApiError>(())
                    })
                    .await?;
            }
            Some(_) => {}
        }
        self.session.exp = exp;
        if let Some(id) = &self.stored {
            for cookie in session_cookies(ctx, id, exp)? {
                add_cookie(&mut reply, &cookie)?;
            }
        }
        Ok(reply)
    }
}

/// Expires the session's cookies in the browser.
fn clear_cookies(ctx: &Ctx, mut reply: Reply) -> ApiResult<Reply> {
    let name = cookie_name(ctx)?;
    let secure = ctx.req.hosts.secure;
    for (n, same_site) in [
        (name.clone(), Some(SameSite::None)),
        (format!("{name}.legacy"), None),
    ] {
        for cookie in cookies::cleared(&n, "/", same_site, secure) {
            add_cookie(&mut reply, &cookie)?;
        }
    }
    Ok(reply)
}

/// Browsers that refuse `SameSite=None` without https fall back to the legacy copy.
fn session_cookies(ctx: &Ctx, id: &str, exp: i64) -> ApiResult<Vec<Cookie<'static>>> {
    let tenant = ctx.tenant()?;
    let name = cookie_name(ctx)?;
    let mut attributes = Attributes {
        path: "/",
        expires: Some(exp),
        same_site: Some(SameSite::None),
        secure: ctx.req.hosts.secure,
    };
    let mut out = cookies::signed(&name, id, &tenant.cookie_keys, &attributes);
    attributes.same_site = None;
    out.extend(cookies::signed(
        &format!("{name}.legacy"),
        id,
        &tenant.cookie_keys,
        &attributes,
    ));
    Ok(out)
}

pub fn add_cookie(reply: &mut Reply, cookie: &Cookie<'_>) -> ApiResult<()> {
    let value =
        HeaderValue::from_str(&cookies::header_value(cookie)).map_err(ApiError::internal)?;
    reply.headers_mut().append(SET_COOKIE, value);
    Ok(())
}
