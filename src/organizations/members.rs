//! The accounts of an organization: listing, inviting, adding and removing them.

use secrecy::SecretString;
use serde_json::{Value as Json, json};

use crate::access::members::{Wanted, check_email, define, held};
use crate::accounts::create::{self as creation, NAME, NewAccount, is_name, lower};
use crate::accounts::model::{AccessEntry, OrganizationAccess, hide};
use crate::accounts::{Account, attempts, rules as accounts};
use crate::app::App;
use crate::gate::Caller;
use crate::groups::Tenant;
use crate::groups::model::system_admin;
use crate::http::error::ApiResult;
use crate::http::failures::list_options;
use crate::http::odata::{FieldType, Fields};
use crate::http::request::Pairs;
use crate::http::validate::{Kind, Shape};
use crate::http::{ApiError, lists};
use crate::organizations::Organization;
use crate::organizations::change::pending_terms;
use crate::profiles::OrganizationProfile;
use crate::profiles::model::Details;
use crate::profiles::patching;
use crate::store::{Object, Value, and, any_of, elem, eq, ne};

/// `domains` stands for those that a member has in this organization.
const DOMAINS: &[(&str, FieldType)] = &[("domains", FieldType::Text)];
static FIELDS: Fields = accounts::FIELDS.also(DOMAINS);
/// Members learn nothing about each other that answers do not show.
static FIELDS_OF_MEMBERS: Fields = accounts::FIELDS.also(DOMAINS).hidden(&[
    "password",
    "recoverCodes",
    "access",
    "phone",
    "identities",
]);

/// Members of the organization as list options ask for them. `own`: the caller is one of them.
pub async fn list(
    app: &App,
    organization: &Organization,
    pairs: &Pairs,
    own: bool,
) -> ApiResult<Vec<Json>> {
    let fields = if own { &FIELDS_OF_MEMBERS } else { &FIELDS };
    let mut options = list_options(pairs, fields, app.settings.limits.list_maximum)?;
    let mut base = and([
        eq("authGroup", organization.auth_group.as_str()),
        eq("access.organization.id", organization.id.as_str()),
    ]);
    if let Some(Value::String(domain)) = options.take_equality("domains") {
        base = base.and(elem(
            "access",
            and([
                eq("organization.id", organization.id.as_str()),
                eq("organization.domains", domain),
            ]),
        ));
    }
    lists::found::<Account>(app, options.into_query(base), Account::public, hide).await
}

/// The organization's member with that id.
pub async fn find(app: &App, organization: &Organization, id: &str) -> ApiResult<Account> {
    accounts::find(app, &organization.auth_group, id)
        .await?
        .filter(|a| held(a, &organization.id).is_some())
        .ok_or_else(|| ApiError::missing(id))
}

/// Whom somebody invites.
#[derive(Debug)]
pub struct Invitation {
    email: String,
    username: Option<String>,
    profile: Option<Invited>,
}

#[derive(Debug)]
struct Invited {
    details: Details,
    external_id: Option<String>,
}

static INVITATION: Shape = Shape {
    // its absence has a status of its own
    required: &[],
    members: &[
        ("email", Kind::Text),
        ("username", Kind::Text),
        ("profile", Kind::Nested(&patching::OF_INVITED)),
    ],
    open: false,
};

impl Invitation {
    /// 400 unless the body describes a person.
    pub fn check(body: &Json) -> ApiResult<()> {
        INVITATION.check(body).map(drop)
    }

    /// 428 without an e-mail address.
    pub fn from_body(body: &Json) -> ApiResult<Self> {
        let text = |name: &str| {
            body.get(name)
                .and_then(Json::as_str)
                .map(lower)
                .filter(|t| !t.is_empty())
        };
        let email = text("email").ok_or_else(|| {
            ApiError::precondition_required("Say whom to add by an e-mail address")
        })?;
        let username = text("username");
        for name in [Some(&email), username.as_ref()].into_iter().flatten() {
            if !is_name(name) {
                return Err(ApiError::bad_request(format!(
                    "E-mail addresses and user names have {NAME}"
                )));
            }
        }
        let profile = body
            .get("profile")
            .filter(|p| p.is_object())
            .map(|p| {
                Ok::<_, ApiError>(Invited {
                    details: creation::details(p)?,
                    external_id: p
                        .get("externalId")
                        .and_then(Json::as_str)
                        .map(ToOwned::to_owned),
                })
            })
            .transpose()?;
        Ok(Self {
            email,
            username,
            profile,
        })
    }
}

/// A person who is a member now.
#[derive(Debug)]
pub struct Added {
    pub id: String,
    /// The password of an account that was made for it, if nobody is told another way.
    pub password: Option<SecretString>,
    /// The account, if it was not a member before.
    pub joined: Option<Account>,
    /// A message that asks to verify the account's address is due.
    pub verify_due: bool,
}

/// Makes the account with that address a member, or a new one if there is none.
pub async fn invite(
    app: &App,
    tenant: &Tenant,
    organization: &Organization,
    caller: &Caller,
    invitation: Invitation,
) -> ApiResult<Added> {
    check_email(organization, &invitation.email)?;
    let known = attempts::find(app, tenant.id(), &invitation.email)
        .await?
        .filter(|a| a.active && !a.blocked);
    let author = caller.author();
    let added = match known {
        Some(account) => {
            let joins = held(&account, &organization.id).is_none();
            if joins {
                let nothing = Wanted::default();
                define(app, organization, &account.id, &nothing, &author).await?;
            }
            Added {
                id: account.id.clone(),
                password: None,
                joined: joins.then_some(account),
                verify_due: false,
            }
        }
        None => create(app, tenant, organization, caller, &invitation).await?,
    };
    if let Some(profile) = invitation.profile {
        let stored = app
            .store
            .of::<OrganizationProfile>()
            .insert(&profile.of(app, organization, &added.id))
            .await;
        if let Err(e) = stored {
            // the person is a member all the same
            tracing::warn!(account = added.id, cause = %e, "organization profile not stored");
        }
    }
    Ok(added)
}

async fn create(
    app: &App,
    tenant: &Tenant,
    organization: &Organization,
    caller: &Caller,
    invitation: &Invitation,
) -> ApiResult<Added> {
    let new = NewAccount {
        email: invitation.email.clone(),
        username: invitation
            .username
            .clone()
            .unwrap_or_else(|| invitation.email.clone()),
        generate_password: true,
        ..NewAccount::default()
    };
    let made = creation::create(app, tenant, caller, new).await?;
    let id = made.account.id.clone();
    if let Err(e) = welcome(app, organization, caller, invitation, &made.account).await {
        accounts::delete(app, tenant, &id).await?;
        return Err(e);
    }
    Ok(Added {
        id,
        password: made.generated.filter(|_| !made.verify_due),
        joined: Some(made.account),
        verify_due: made.verify_due,
    })
}

/// What a new account gets: the names of its profile, and membership.
async fn welcome(
    app: &App,
    organization: &Organization,
    caller: &Caller,
    invitation: &Invitation,
    account: &Account,
) -> ApiResult<()> {
    if let Some(profile) = &invitation.profile {
        let all = &profile.details;
        let details = Details {
            given_name: all.given_name.clone(),
            family_name: all.family_name.clone(),
            display_name: all.display_name.clone(),
            picture: all.picture.clone(),
            ..Details::default()
        };
        creation::add_profile(app, account, caller, details).await?;
    }
    let author = caller.author();
    define(app, organization, &account.id, &Wanted::default(), &author).await?;
    Ok(())
}

impl Invited {
    fn of(self, app: &App, organization: &Organization, account: &str) -> OrganizationProfile {
        let now = app.date();
        OrganizationProfile {
            id: app.random.uuid(),
            created_at: now,
            modified_at: now,
            created_by: system_admin(),
            modified_by: system_admin(),
            auth_group: organization.auth_group.clone(),
            organization: organization.id.clone(),
            account_id: Some(account.to_owned()),
            external_id: self.external_id,
            delete_requested: false,
            delete_requested_date: None,
            details: self.details,
            version: 0,
            extra: Object::default(),
        }
    }
}

/// What a bulk change did, in the words of the database that clients know it from.
fn outcome(changed: u64) -> Json {
    json!({
        "acknowledged": true,
        "modifiedCount": changed,
        "upsertedId": null,
        "upsertedCount": 0,
        "matchedCount": changed,
    })
}

/// Makes those of the accounts members that are not yet and whose address fits.
pub async fn add(app: &App, organization: &Organization, ids: Vec<String>) -> ApiResult<Json> {
    let accounts = app.store.of::<Account>();
    let strangers = accounts
        .find(and([
            eq("authGroup", organization.auth_group.as_str()),
            any_of("_id", ids),
            ne("access.organization.id", organization.id.as_str()),
        ]))
        .await?;
    let terms = pending_terms(app, organization);
    let mut changed = 0;
    for account in strangers
        .iter()
        .filter(|a| organization.allows_email(&a.email))
    {
        let mut added = false;
        accounts
            .update(&account.id, |account: &mut Account| {
                added = held(account, &organization.id).is_none();
                if added {
                    account.access.push(AccessEntry {
                        organization: OrganizationAccess {
                            id: organization.id.clone(),
                            terms: terms.clone(),
                            ..OrganizationAccess::default()
                        },
                        extra: Object::default(),
                    });
                }
                Ok::<_, ApiError>(())
            })
            .await?;
        changed += u64::from(added);
    }
    Ok(outcome(changed))
}

/// Takes those of the accounts out of the organization that are in it.
pub async fn remove(app: &App, organization: &Organization, ids: Vec<String>) -> ApiResult<Json> {
    let members = and([
        eq("authGroup", organization.auth_group.as_str()),
        any_of("_id", ids),
        eq("access.organization.id", organization.id.as_str()),
    ]);
    let changed = app
        .store
        .of::<Account>()
        .update_many(members, |account: &mut Account| {
            account
                .access
                .retain(|e| e.organization.id != organization.id);
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(outcome(changed))
}
