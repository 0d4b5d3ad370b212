//! The authenticated principal of a request.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::accounts::Account;
use crate::clients::Client;
use crate::groups::Tenant;
use crate::oidc::records::InitialAccessToken;

pub type Claims = Map<String, Json>;

/// Who is calling.
#[derive(Debug, Clone, Default)]
pub enum Caller {
    #[default]
    Nobody,
    /// Registers an account in a group that is open to everybody.
    OpenRegistration,
    /// Creates the first account of a group and thereby activates it.
    Activation { token: String },
    /// A person with an access token.
    User(Box<UserCaller>),
    /// A client with a token of its own (RFC 6749 §4.4).
    Client(Box<ClientCaller>),
    /// A person who proved an account by password, approved challenge or mailed token.
    Account(Box<AccountCaller>),
    /// A bearer of an initial access token that names no account.
    InitialAccess(Box<IatCaller>),
}

#[derive(Debug, Clone)]
pub struct UserCaller {
    pub account: Arc<Account>,
    pub claims: Claims,
    pub tenant: Arc<Tenant>,
    pub token: String,
}

#[derive(Debug, Clone)]
pub struct ClientCaller {
    pub client: Arc<Client>,
    pub claims: Claims,
    pub tenant: Arc<Tenant>,
    pub token: String,
}

#[derive(Debug, Clone)]
pub struct AccountCaller {
    pub account: Account,
    /// The token that proved it, if one did.
    pub iat: Option<IatCaller>,
    /// A device has agreed.
    pub by_device: bool,
}

#[derive(Debug, Clone)]
pub struct IatCaller {
    pub token: String,
    pub payload: InitialAccessToken,
}

impl Caller {
    /// The id of the account or client.
    pub fn sub(&self) -> Option<&str> {
        match self {
            Self::User(u) => Some(&u.account.id),
            Self::Client(c) => Some(&c.client.id),
            Self::Account(a) => Some(&a.account.id),
            Self::InitialAccess(i) => i.payload.sub.as_deref(),
            _ => None,
        }
    }

    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::User(u) => Some(&u.account),
            Self::Account(a) => Some(&a.account),
            _ => None,
        }
    }

    pub fn email(&self) -> Option<&str> {
        match self {
            Self::InitialAccess(i) => i.payload.email.as_deref(),
            _ => self.account().map(|a| a.email.as_str()),
        }
    }

    pub fn claims(&self) -> Option<&Claims> {
        match self {
            Self::User(u) => Some(&u.claims),
            Self::Client(c) => Some(&c.claims),
            _ => None,
        }
    }

    /// The group the credential belongs to; of the root group or of the requested one.
    pub fn tenant(&self) -> Option<&Arc<Tenant>> {
        match self {
            Self::User(u) => Some(&u.tenant),
            Self::Client(c) => Some(&c.tenant),
            _ => None,
        }
    }

    /// The presented initial access token.
    pub fn iat(&self) -> Option<&IatCaller> {
        match self {
            Self::Account(a) => a.iat.as_ref(),
            Self::InitialAccess(i) => Some(i),
            _ => None,
        }
    }

    /// Has a device agreed to this very request?
    pub fn by_device(&self) -> bool {
        matches!(self, Self::Account(a) if a.by_device)
    }

    pub fn is_client(&self) -> bool {
        matches!(self, Self::Client(_))
    }

    /// What goes into `modifiedBy` and `createdBy`.
    pub fn author(&self) -> String {
        self.sub().unwrap_or("SYSTEM").to_owned()
    }
}
