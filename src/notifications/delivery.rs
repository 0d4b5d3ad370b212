//! The ways messages leave, and the one rule that says which.

use async_trait::async_trait;

use crate::app::App;
use crate::groups::AuthGroup;
use crate::http::ApiError;
use crate::notifications::Notification;
use crate::notifications::mail::{self, Mail};
use crate::notifications::service::Service;
use crate::outgoing::CallError;
use crate::plugins::Plugins;
use crate::settings::SmtpUrl;
use crate::store::StoreError;

/// Why a message was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("the service did not accept it; look at its log")]
    Call(#[from] CallError),
    #[error("the service's client is gone; switch notifications on again to get a new one")]
    NoClient,
    #[error("no token for the service could be made: {0}")]
    Token(ApiError),
    #[error("there is no mail server any more; set notifications.smtp_url")]
    NoMailServer,
    #[error("it has no e-mail address to go to, and this server sends by mail only")]
    NoAddress,
    #[error("an address in it is none: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("it could not be put into the form of a mail: {0}")]
    Form(#[from] lettre::error::Error),
    #[error("it could not be written as text")]
    Text(#[from] askama::Error),
    #[error("the mail server did not accept it: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    #[error(
        "the mail server of the group is not public; outgoing.allow_loopback decides about this machine's own"
    )]
    NotPublic,
    #[error("the mail server of the group could not be found")]
    Lookup(#[source] std::io::Error),
    #[error("it took too long")]
    Late,
    #[error("it could not be put together, which is a fault of this server")]
    Broken,
    #[error("the link in it does not work any more")]
    Expired,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeliveryError {
    /// Would another attempt end the same way?
    pub fn is_final(&self) -> bool {
        match self {
            Self::NoAddress | Self::Address(_) | Self::Form(_) | Self::Text(_) | Self::Expired => {
                true
            }
            Self::Smtp(e) => e.is_permanent(),
            _ => false,
        }
    }
}

/// A way out. Whoever delivers may be asked twice about the same message.
#[async_trait]
pub trait Deliverer: Send + Sync {
    async fn deliver(&self, app: &App, it: &Notification) -> Result<(), DeliveryError>;
}

/// How the messages of a group leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By the notification service at that address, while the request waits.
    Service(String),
    /// By mail, which the request does not wait for; the server, as it may be shown.
    Mail(String),
}

impl Way {
    /// What a message says about where it goes.
    pub fn destination(&self) -> &str {
        match self {
            Self::Service(uri) => uri,
            Self::Mail(server) => server,
        }
    }
}

/// Can the server send messages, and how? The root group's choice of a service comes before the
/// operator's mail server. None if notifications are off.
pub fn of_server(app: &App, plugins: &Plugins) -> Option<Way> {
    let options = &plugins.notifications;
    match &options.notification_service_uri {
        Some(uri) if options.enabled => Some(Way::Service(uri.clone())),
        _ => app.mailer.as_ref().map(|m| Way::Mail(m.shown())),
    }
}

/// As [`of_server`], by the group's own mail server where it has one.
pub fn of_group(app: &App, plugins: &Plugins, group: &AuthGroup) -> Option<Way> {
    let way = of_server(app, plugins)?;
    let own = mail::own_server(group);
    Some(own.map_or(way, |server| Way::Mail(server.shown())))
}

/// Are notifications on, for the whole server and for the group?
pub fn is_on(app: &App, plugins: &Plugins, group: &AuthGroup) -> bool {
    group.plugin_options.notification.enabled && of_server(app, plugins).is_some()
}

/// What takes a stored message on.
pub fn deliverer(it: &Notification) -> &'static dyn Deliverer {
    if SmtpUrl::is_one(&it.destination_uri) {
        &Mail
    } else {
        &Service
    }
}
