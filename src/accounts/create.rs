//! New accounts, one at a time.

use std::sync::LazyLock;

use regex::Regex;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value as Json};

use crate::accounts::model::{Mfa, MyNotifications, Phone};
use crate::accounts::{Account, passwords, rules};
use crate::app::App;
use crate::gate::Caller;
use crate::groups::Tenant;
use crate::groups::model::system_admin;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape, decode};
use crate::profiles::model::Details;
use crate::profiles::patching;
use crate::profiles::{Profile, ProfileAccess};
use crate::store::Object;

/// Country calling codes, then the number; anchored at the end only.
const PHONE: &str = r"\+(9[976][0-9]|8[987530][0-9]|6[987][0-9]|5[90][0-9]|42[0-9]|3[875][0-9]|2[98654321][0-9]|9[8543210]|8[6421]|6[6543210]|5[87654321]|4[987654310]|3[9643210]|2[70]|7|1)[0-9]{1,14}$";

static PHONE_RULE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(PHONE).ok());

/// Ends in an international telephone number.
pub fn is_phone(text: &str) -> bool {
    PHONE_RULE.as_ref().is_some_and(|rule| rule.is_match(text))
}

pub static PHONE_SHAPE: Shape = Shape {
    required: &[],
    members: &[("txt", Kind::Matching(is_phone, PHONE))],
    open: true,
};

/// Longest e-mail address (RFC 5321 §4.5.3.1.3) and user name.
pub const NAME_LIMIT: usize = 254;

/// What a name may hold, for those who are told that theirs does not.
pub const NAME: &str = "at most 254 characters, no line breaks and other control characters";

/// Can it be an e-mail address or user name? Such names stand in headers of mails and in lists that
/// people read, so nothing in them starts a line or turns the direction of writing.
pub fn is_name(text: &str) -> bool {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().count() <= NAME_LIMIT && !text.contains(|c| breaks(c) || turns(c))
}

static SHAPE: Shape = Shape {
    required: &["email"],
    members: &[
        ("email", Kind::Matching(is_name, NAME)),
        ("username", Kind::Matching(is_name, NAME)),
        ("password", Kind::Text),
        ("generatePassword", Kind::Boolean),
        ("phone", Kind::Nested(&PHONE_SHAPE)),
        ("metadata", Kind::Object),
        ("profile", Kind::Nested(&patching::OF_NEW)),
    ],
    open: false,
};

/// 400 unless the body describes one account.
pub fn check_body(body: &Json) -> ApiResult<()> {
    SHAPE.check(body).map(drop)
}

/// What a body that passed [`check_body`] asks for.
#[derive(Debug, Default)]
pub struct NewAccount {
    pub email: String,
    pub username: String,
    pub password: Option<SecretString>,
    pub generate_password: bool,
    pub phone: Option<Phone>,
    pub metadata: Option<Object>,
    pub profile: Option<Details>,
}

impl NewAccount {
    pub fn from_body(body: &Json) -> ApiResult<Self> {
        let text = |name: &str| {
            body.get(name)
                .and_then(Json::as_str)
                .filter(|s| !s.trim().is_empty())
        };
        let email = text("email")
            .map(lower)
            .ok_or_else(|| ApiError::precondition_required("email is required"))?;
        Ok(Self {
            username: text("username").map_or_else(|| email.clone(), lower),
            email,
            password: text("password").map(SecretString::from),
            generate_password: body.get("generatePassword").and_then(Json::as_bool) == Some(true),
            phone: body.get("phone").map(phone),
            metadata: body.get("metadata").and_then(Object::from_json),
            profile: body.get("profile").map(details).transpose()?,
        })
    }
}

/// E-mail addresses and user names are stored and compared like this.
pub fn lower(name: &str) -> String {
    name.trim().to_lowercase()
}

pub fn phone(value: &Json) -> Phone {
    Phone {
        txt: value
            .get("txt")
            .and_then(Json::as_str)
            .map(ToOwned::to_owned),
        extra: Object::default(),
    }
}

/// The fields of a profile alone: ids, group and author in the same object are not the sender's
/// to choose.
pub fn details(profile: &Json) -> ApiResult<Details> {
    let mut known: Map<String, Json> = profile.as_object().cloned().unwrap_or_default();
    known.retain(|_, v| !v.is_null());
    if let Some(meta) = known.get_mut("meta").and_then(Json::as_object_mut) {
        meta.remove("core");
    }
    decode(Json::Object(known))
        .map_err(|e| ApiError::validation(format!("profiles validation failed: {e}")))
}

/// An account that was just stored.
#[derive(Debug)]
pub struct Created {
    pub account: Account,
    /// The password, if the server made it up.
    pub generated: Option<SecretString>,
    /// A message that asks to verify the address is due.
    pub verify_due: bool,
}

/// Stores a new account, and its profile if there is one.
pub async fn create(
    app: &App,
    tenant: &Tenant,
    caller: &Caller,
    new: NewAccount,
) -> ApiResult<Created> {
    let policy = &tenant.group.config.password_policy;
    let (password, generated) = if new.generate_password {
        let made = SecretString::from(passwords::generate(policy, &app.random));
        (made.clone(), Some(made))
    } else {
        let given = new
            .password
            .ok_or_else(|| ApiError::precondition_required("password is required"))?;
        passwords::check(policy, given.expose_secret())?;
        (given, None)
    };
    let group = tenant.id();
    let mut account = blank(app, group, new.email, new.username);
    account.modified_by = caller.sub().map_or_else(system_admin, ToOwned::to_owned);
    account.phone = new.phone;
    account.metadata = new.metadata;
    rules::refuse_taken(app, group, &account.email, &account.username, &account.id).await?;
    account.password = app.hasher.hash(password).await?;
    let accounts = app.store.of::<Account>();
    accounts.insert(&account).await?;
    // the store's indexes know each field by itself; somebody may have taken the e-mail as a user
    // name since the first look
    let names = rules::refuse_taken(app, group, &account.email, &account.username, &account.id);
    if let Err(e) = names.await {
        accounts.delete(&account.id).await?;
        return Err(e);
    }
    if let Some(details) = new.profile {
        let stored = add_profile(app, &account, caller, details).await;
        match stored {
            Err(e) if !app.settings.is_production() => return Err(e),
            Err(e) => tracing::warn!(account = account.id, cause = %e, "profile not stored"),
            Ok(()) => {}
        }
    }
    let plugins = crate::plugins::rules::current(app).await?;
    Ok(Created {
        verify_due: rules::verify_message_due(app, tenant, &plugins),
        account,
        generated,
    })
}

/// An account with defaults and a password that never matches.
pub fn blank(app: &App, group: &str, email: String, username: String) -> Account {
    let now = app.date();
    Account {
        id: app.random.uuid(),
        created_at: now,
        modified_at: now,
        modified_by: system_admin(),
        username,
        email,
        blocked: false,
        auth_group: group.to_owned(),
        password: unusable(app),
        phone: None,
        verified: false,
        active: true,
        mfa: Mfa::default(),
        accepting_profile_requests: true,
        my_notifications: MyNotifications::default(),
        access: Vec::new(),
        metadata: None,
        user_locked: false,
        identities: Vec::new(),
        recover_codes: Vec::new(),
        version: 0,
        extra: Object::default(),
    }
}

/// Stands where a password hash would. It is no hash of anything, so that no password matches,
/// and unlike the hash of a random secret it costs nothing: whoever gets one sets a password first.
pub fn unusable(app: &App) -> String {
    format!("{UNUSABLE}{}", app.random.uuid())
}

/// What [`unusable`] markers begin with.
pub const UNUSABLE: &str = "unusable:";

/// Stores the person's profile and lets the caller view it.
pub async fn add_profile(
    app: &App,
    account: &Account,
    caller: &Caller,
    details: Details,
) -> ApiResult<()> {
    let author = account.modified_by.clone();
    let now = account.created_at;
    app.store
        .of::<Profile>()
        .insert(&Profile {
            id: app.random.uuid(),
            created_at: now,
            modified_at: now,
            created_by: author.clone(),
            modified_by: author.clone(),
            auth_group: account.auth_group.clone(),
            account_id: account.id.clone(),
            details,
            version: 0,
            extra: Object::default(),
        })
        .await?;
    let Some(viewer) = caller.sub() else {
        return Ok(());
    };
    app.store
        .of::<ProfileAccess>()
        .insert(&ProfileAccess {
            id: app.random.uuid(),
            created_at: now,
            created_by: author,
            expires_at: None,
            auth_group: account.auth_group.clone(),
            viewing_account_id: viewer.to_owned(),
            target_account_id: account.id.clone(),
            viewing_email: caller.email().map(ToOwned::to_owned),
            access_details: Some(
                "This viewer created the account and its first profile".to_owned(),
            ),
            client: caller.is_client(),
            version: 0,
            extra: Object::default(),
        })
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies() {
        for (body, good) in [
            (json!({ "email": "a@b.test" }), true),
            (json!({ "email": "not-an-email", "password": "x" }), true),
            (json!({}), false),
            (json!({ "email": 5 }), false),
            (json!({ "email": "a@b.test", "zzz": 1 }), false),
            (
                json!({ "email": "a@b.test", "phone": { "txt": "+15550001" } }),
                true,
            ),
            (
                json!({ "email": "a@b.test", "phone": { "txt": "12345" } }),
                false,
            ),
            (
                json!({ "email": "a@b.test", "profile": { "givenName": 1 } }),
                false,
            ),
            (
                json!({ "email": "a@b.test", "profile": { "other": 1 } }),
                true,
            ),
        ] {
            assert_eq!(check_body(&body).is_ok(), good, "{body}");
        }
    }

    #[test]
    fn names_are_stored_in_lower_case() {
        let new = NewAccount::from_body(&json!({ "email": " Ada@B.test ", "username": "ADA" }));
        let new = new.unwrap();
        assert_eq!((&*new.email, &*new.username), ("ada@b.test", "ada"));
        let new = NewAccount::from_body(&json!({ "email": "Ada@B.test" })).unwrap();
        assert_eq!(new.username, "ada@b.test");
        assert_eq!(
            NewAccount::from_body(&json!({ "email": " " }))
                .unwrap_err()
                .status,
            428
        );
    }

    #[test]
    fn hole_a_profile_can_not_name_another_account_or_group() {
        let new = NewAccount::from_body(&json!({
            "email": "a@b.test",
            "profile": {
                "givenName": "Ada", "accountId": "victim", "authGroup": "other", "id": "x",
                "_id": "y", "organization": "o", "meta": { "core": true, "a": 1 },
            },
        }))
        .unwrap();
        let details = serde_json::to_value(new.profile.unwrap()).unwrap();
        assert_eq!(
            details,
            json!({
                "givenName": "Ada", "additionalEmails": [], "contactNumbers": [], "meta": { "a": 1 },
            })
        );
    }
}
