//! Asking people for their profiles, and what their answers bring about.

use actix_web::http::StatusCode;
use serde_json::{Value as Json, json};
use url::{Host, Url};

use crate::access::evaluate::find_organization;
use crate::accounts::rules as accounts;
use crate::app::App;
use crate::groups::model::system_admin;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::odata::{FieldType, Fields};
use crate::http::request::Pairs;
use crate::http::validate::{Kind, Shape};
use crate::outgoing::is_allowed;
use crate::profiles::request::{ProfileRequest, ProfileSnapshot, SnapshotStatus, State, Wanted};
use crate::profiles::rules::between;
use crate::profiles::{OrganizationProfile, Profile, ProfileAccess, patching, rules};
use crate::store::{Filter, Object, StoreError, and, eq};

static FIELDS: Fields = Fields::new(&[
    ("createdAt", FieldType::Date),
    ("createdBy", FieldType::Text),
    ("modifiedAt", FieldType::Date),
    ("modifiedBy", FieldType::Text),
    ("authGroup", FieldType::Text),
    ("requestingAccountId", FieldType::Text),
    ("requestingEmail", FieldType::Text),
    ("requestDetails", FieldType::Text),
    ("client", FieldType::Bool),
    ("dataCallback", FieldType::Text),
    ("orgId", FieldType::Text),
    ("targetAccountId", FieldType::Text),
    ("type", FieldType::Text),
    ("accessExpirationTime", FieldType::Text),
    ("state", FieldType::Text),
]);

static SHAPE: Shape = Shape {
    required: &["type", "requestDetails"],
    members: &[
        ("type", Kind::OneOf(&["copy", "sync", "access"])),
        ("requestDetails", Kind::Text),
        ("dataCallback", Kind::Text),
        (
            "accessExpirationTime",
            Kind::OneOf(&["1", "7", "30", "90", "180", "360", "unlimited"]),
        ),
        ("orgId", Kind::Text),
    ],
    open: false,
};

static ANSWER: Shape = Shape {
    required: &[],
    members: &[("action", Kind::OneOf(&["new", "approved", "denied"]))],
    open: false,
};

/// 400 unless the body describes a request.
pub fn check_body(body: &Json) -> ApiResult<()> {
    SHAPE.check(body).map(drop)
}

/// 400 unless the body is an answer to a request.
pub fn check_answer(body: &Json) -> ApiResult<()> {
    ANSWER.check(body).map(drop)
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub id: &'a str,
    /// The person's address, or the client's name.
    pub name: Option<&'a str>,
    pub client: bool,
    /// Organizations that it belongs to.
    pub organizations: &'a [String],
    /// Administers what every organization keeps about people.
    pub everywhere: bool,
}

/// The body of a request that passed [`check_body`].
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    r#type: Wanted,
    request_details: String,
    #[serde(default)]
    data_callback: Option<String>,
    #[serde(default)]
    access_expiration_time: Option<String>,
    #[serde(default)]
    org_id: Option<String>,
}

/// Is it an address of the public internet, as far as it can be told without resolving it?
fn is_public_https(address: &str, allow_loopback: bool) -> bool {
    let Ok(url) = Url::parse(address) else {
        return false;
    };
    let public = match url.host() {
        Some(Host::Ipv4(ip)) => is_allowed(ip.into(), allow_loopback),
        Some(Host::Ipv6(ip)) => is_allowed(ip.into(), allow_loopback),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            allow_loopback || !(name == "localhost" || name.ends_with(".localhost"))
        }
        None => false,
    };
    url.scheme() == "https" && public
}

/// The id of the organization whose record is to follow the profile.
async fn organization(
    app: &App,
    group: &str,
    asker: &Asker<'_>,
    asked: &Asked,
) -> ApiResult<Option<String>> {
    let Some(key) = &asked.org_id else {
        return Ok(None);
    };
    let found = find_organization(&app.store, group, key)
        .await?
        .ok_or_else(|| ApiError::bad_request(format!("Organization not found: {key}")))?;
    let inside = asker.everywhere || asker.organizations.contains(&found.id);
    if asked.r#type == Wanted::Sync && !inside {
        return Err(ApiError::forbidden(
            "Only members of an organization can ask for a profile on its behalf",
        ));
    }
    Ok(Some(found.id))
}

/// Stores a request to an account of the group, with the empty copy of one for a copy.
pub async fn ask(
    app: &App,
    group: &str,
    asker: Asker<'_>,
    target: &str,
    body: &Json,
) -> ApiResult<ProfileRequest> {
    let account = accounts::find(app, group, target)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("target: {target}")))?;
    if !account.accepting_profile_requests {
        return Err(ApiError::new(
            StatusCode::LOCKED,
            "This account does not accept profile requests",
        ));
    }
    let asked: Asked = serde_json::from_value(body.clone())
        .map_err(|e| ApiError::validation(format!("profile_requests validation failed: {e}")))?;
    if asked.r#type == Wanted::Sync && asked.org_id.as_deref().unwrap_or_default().is_empty() {
        return Err(ApiError::precondition_required(
            "You must specify an organization to sync with",
        ));
    }
    if let Some(callback) = &asked.data_callback
        && asked.r#type == Wanted::Copy
        && !is_public_https(callback, app.settings.outgoing.allow_loopback)
    {
        return Err(ApiError::bad_request("Callbacks must be https"));
    }
    let org_id = organization(app, group, &asker, &asked).await?;
    let now = app.date();
    let request = ProfileRequest {
        id: app.random.uuid(),
        created_at: now,
        modified_at: now,
        created_by: system_admin(),
        modified_by: system_admin(),
        auth_group: group.to_owned(),
        requesting_account_id: asker.id.to_owned(),
        requesting_email: asker.name.map(ToOwned::to_owned),
        request_details: Some(asked.request_details),
        client: asker.client,
        data_callback: asked.data_callback,
        org_id,
        target_account_id: account.id,
        wanted: asked.r#type,
        access_expiration_time: asked
            .access_expiration_time
            .unwrap_or_else(|| "unlimited".to_owned()),
        state: State::New,
        version: 0,
        extra: Object::default(),
    };
    if request.wanted == Wanted::Copy {
        app.store
            .of::<ProfileSnapshot>()
            .insert(&empty_copy(app, &request))
            .await?;
    }
    app.store.of::<ProfileRequest>().insert(&request).await?;
    Ok(request)
}

fn empty_copy(app: &App, request: &ProfileRequest) -> ProfileSnapshot {
    ProfileSnapshot {
        id: app.random.uuid(),
        created_at: request.created_at,
        created_by: system_admin(),
        auth_group: request.auth_group.clone(),
        request_id: request.id.clone(),
        caller_id: request.requesting_account_id.clone(),
        account_id: request.target_account_id.clone(),
        status: SnapshotStatus::Pending,
        snap_shot: None,
        version: 0,
        extra: Object::default(),
    }
}

/// Requests that the account sent (`sent`) or received.
pub async fn list(
    app: &App,
    group: &str,
    account: &str,
    sent: bool,
    pairs: &Pairs,
) -> ApiResult<Vec<Json>> {
    let side = if sent {
        "requestingAccountId"
    } else {
        "targetAccountId"
    };
    rules::of_side::<ProfileRequest>(app, group, (side, account), &FIELDS, pairs).await
}

fn mine(group: &str, id: &str, account: &str) -> Filter {
    between(group, "targetAccountId", "requestingAccountId", account).and(eq("_id", id))
}

/// A request that the account sent or received.
pub async fn find(app: &App, group: &str, id: &str, account: &str) -> ApiResult<ProfileRequest> {
    rules::one(app, mine(group, id, account)).await
}

pub async fn delete(app: &App, group: &str, id: &str, account: &str) -> ApiResult<ProfileRequest> {
    rules::taken(app, mine(group, id, account)).await
}

fn copy_of(group: &str, request: &str, account: &str) -> Filter {
    between(group, "callerId", "accountId", account).and(eq("requestId", request))
}

/// The copy that belongs to a request which the account sent or received.
pub async fn find_copy(
    app: &App,
    group: &str,
    request: &str,
    account: &str,
) -> ApiResult<ProfileSnapshot> {
    rules::one(app, copy_of(group, request, account)).await
}

pub async fn delete_copy(
    app: &App,
    group: &str,
    request: &str,
    account: &str,
) -> ApiResult<ProfileSnapshot> {
    rules::taken(app, copy_of(group, request, account)).await
}

/// Answers a request to the account, once.
///
/// Whatever the answer brings about comes first: if it fails, the request is still open.
pub async fn answer(
    app: &App,
    group: &str,
    id: &str,
    account: &str,
    action: Option<&str>,
) -> ApiResult<ProfileRequest> {
    let action = action.ok_or_else(|| ApiError::precondition_required("action is required"))?;
    let state = match action {
        "approved" => State::Approved,
        "denied" => State::Denied,
        _ => return Err(ApiError::bad_request("unknown action")),
    };
    let request = app
        .store
        .of::<ProfileRequest>()
        .find_one(and([
            eq("_id", id),
            eq("authGroup", group),
            eq("targetAccountId", account),
        ]))
        .await?
        .ok_or_else(|| ApiError::not_found(format!("Request not found: {id}")))?;
    if request.state != State::New {
        return Err(decided());
    }
    if state == State::Denied {
        let denied = decide(app, &request, state).await?.ok_or_else(decided)?;
        deny_copy(app, &denied).await?;
        return Ok(denied);
    }
    let made = carry_out(app, &request).await?;
    let Some(approved) = decide(app, &request, state).await? else {
        take_back(app, &request, made).await?;
        return Err(decided());
    };
    if let (Made::Copy(Some(profile)), Some(callback)) = (made, &approved.data_callback) {
        send(app, callback, &profile).await;
    }
    Ok(approved)
}

fn decided() -> ApiError {
    ApiError::conflict("This request has already been decided")
}

/// Of many answers exactly one succeeds; the others get `None`.
async fn decide(
    app: &App,
    request: &ProfileRequest,
    state: State,
) -> Result<Option<ProfileRequest>, StoreError> {
    let now = app.date();
    let open = and([
        eq("_id", request.id.as_str()),
        eq("authGroup", request.auth_group.as_str()),
        eq("state", "new"),
    ]);
    app.store
        .of::<ProfileRequest>()
        .update_where(open, |r: &mut ProfileRequest| {
            r.state = state;
            r.modified_at = now;
            r.modified_by.clone_from(&r.target_account_id);
            Ok::<_, StoreError>(())
        })
        .await
}

/// What an approval has brought about.
enum Made {
    /// The id of a view.
    Access(String),
    Copy(Option<Box<Profile>>),
    Synced,
}

async fn carry_out(app: &App, request: &ProfileRequest) -> ApiResult<Made> {
    match request.wanted {
        Wanted::Access => give_access(app, request).await.map(Made::Access),
        Wanted::Copy => fill_copy(app, request).await.map(Made::Copy),
        Wanted::Sync => sync(app, request).await.map(|()| Made::Synced),
    }
}

async fn give_access(app: &App, request: &ProfileRequest) -> ApiResult<String> {
    let now = app.date();
    let access = ProfileAccess {
        id: app.random.uuid(),
        created_at: now,
        created_by: system_admin(),
        expires_at: request.access_until(now),
        auth_group: request.auth_group.clone(),
        viewing_account_id: request.requesting_account_id.clone(),
        target_account_id: request.target_account_id.clone(),
        viewing_email: request.requesting_email.clone(),
        access_details: request.request_details.clone(),
        client: request.client,
        version: 0,
        extra: Object::default(),
    };
    app.store.of::<ProfileAccess>().insert(&access).await?;
    Ok(access.id)
}

fn own_profile(request: &ProfileRequest) -> Filter {
    and([
        eq("authGroup", request.auth_group.as_str()),
        eq("accountId", request.target_account_id.as_str()),
    ])
}

fn copy_for(request: &ProfileRequest) -> Filter {
    and([
        eq("authGroup", request.auth_group.as_str()),
        eq("requestId", request.id.as_str()),
        eq("accountId", request.target_account_id.as_str()),
    ])
}

fn no_profile() -> ApiError {
    ApiError::not_found("You have no profile. Create one before you approve the request")
}

/// Puts the profile, if there is one, into the request's copy.
async fn fill_copy(app: &App, request: &ProfileRequest) -> ApiResult<Option<Box<Profile>>> {
    let profiles = app.store.of::<Profile>();
    let profile = profiles.find_one(own_profile(request)).await?;
    if profile.is_none() && request.data_callback.is_some() {
        return Err(no_profile());
    }
    // as stored, so that nothing is lost in it
    let stored = profiles
        .find_objects(own_profile(request))
        .await?
        .into_iter()
        .next();
    let pending = copy_for(request).and(eq("status", "pending"));
    app.store
        .of::<ProfileSnapshot>()
        .update_where(pending, |copy: &mut ProfileSnapshot| {
            copy.status = SnapshotStatus::Approved;
            copy.snap_shot.clone_from(&stored);
            Ok::<_, StoreError>(())
        })
        .await?
        .ok_or_else(|| {
            ApiError::conflict(
                "The copy that was asked for has expired. It must be asked for again",
            )
        })?;
    Ok(profile.map(Box::new))
}

/// Marks the copy of a denied request, and leaves nothing in it.
async fn deny_copy(app: &App, request: &ProfileRequest) -> Result<(), StoreError> {
    if request.wanted != Wanted::Copy {
        return Ok(());
    }
    app.store
        .of::<ProfileSnapshot>()
        .update_where(copy_for(request), |copy: &mut ProfileSnapshot| {
            copy.status = SnapshotStatus::Denied;
            copy.snap_shot = None;
            Ok::<_, StoreError>(())
        })
        .await
        .map(drop)
}

/// Brings the organization's record up to date with the profile. Creates nothing.
async fn sync(app: &App, request: &ProfileRequest) -> ApiResult<()> {
    let Some(profile) = app
        .store
        .of::<Profile>()
        .find_one(own_profile(request))
        .await?
    else {
        return Ok(());
    };
    let now = app.date();
    let record = own_profile(request).and(eq(
        "organization",
        request.org_id.as_deref().unwrap_or_default(),
    ));
    app.store
        .of::<OrganizationProfile>()
        .update_where(record, |record: &mut OrganizationProfile| {
            record.details.overlay(&profile.details);
            record.modified_at = now;
            record.modified_by.clone_from(&request.target_account_id);
            Ok::<_, StoreError>(())
        })
        .await?
        .ok_or_else(|| {
            ApiError::not_found("The organization keeps no profile of you that could be updated")
        })?;
    Ok(())
}

/// Undoes an approval that came too late.
async fn take_back(app: &App, request: &ProfileRequest, made: Made) -> Result<(), StoreError> {
    match made {
        Made::Access(id) => {
            app.store.of::<ProfileAccess>().delete(&id).await?;
        }
        Made::Copy(_) => {
            let now = app.store.of::<ProfileRequest>().get(&request.id).await?;
            if now.is_some_and(|r| r.state == State::Denied) {
                deny_copy(app, request).await?;
            }
        }
        Made::Synced => {}
    }
    Ok(())
}

/// Sends an approved copy. The person's answer does not depend on whether it arrives.
async fn send(app: &App, callback: &str, profile: &Profile) {
    // requests of an existing database may hold addresses that are no longer accepted
    if !is_public_https(callback, app.settings.outgoing.allow_loopback) {
        tracing::warn!("profile not sent: the address is not a public https one");
        return;
    }
    let mut body = patching::public(profile);
    if let Some(body) = body.as_object_mut() {
        body.insert("terms".to_owned(), terms());
    }
    if let Err(e) = app.outgoing.post_json(callback, &body).await {
        tracing::warn!(cause = %e, "profile not delivered to its callback");
    }
}

fn terms() -> Json {
    json!({
        "confidential": true,
        "message": "The person agreed to share this data with whoever asked for it. Use it for what was stated in the request and for nothing else.",
        "liability": "Whoever receives this data is responsible for keeping and using it as the law demands.",
    })
}

/// Finds the profile of `account` if the viewer may see it.
pub async fn view(app: &App, group: &str, account: &str, viewer: &str) -> ApiResult<Profile> {
    rules::may_view(app, group, account, viewer).await?;
    rules::find(app, group, account).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hole_callbacks_lead_to_public_https_addresses_only() {
        for bad in [
            "http://x.test",
            "http://x.test/?https",
            "https",
            "https://127.0.0.1/x",
            "https://localhost/x",
            "https://a.localhost./x",
            "https://10.1.2.3",
            "https://169.254.169.254/latest",
            "https://[::1]",
            "https://[fd00::1]",
            "https://0x7f000001/",
            "file:///etc/passwd#https:",
        ] {
            assert!(!is_public_https(bad, false), "{bad}");
        }
        assert!(is_public_https("https://receiver.example/x", false));
        assert!(is_public_https("https://127.0.0.1/x", true));
        assert!(!is_public_https("http://127.0.0.1/x", true));
    }
}
