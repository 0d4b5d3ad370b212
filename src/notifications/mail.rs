//! Sending messages as mail (RFC 5321, RFC 5322).

use std::time::Duration;

use async_trait::async_trait;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, PoolConfig};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::groups::AuthGroup;
use crate::notifications::Notification;
use crate::notifications::delivery::{Deliverer, DeliveryError};
use crate::notifications::letter::{Letter, one_line};
use crate::outgoing::is_allowed;
use crate::settings::{Settings, SmtpTls, SmtpUrl};

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Connections to the operator's mail server that are kept.
const POOL: u32 = 4;

/// The operator's mail server.
#[derive(Debug)]
pub struct Mailer {
    transport: Transport,
    from: Address,
    server: String,
}

impl Mailer {
    /// None if the settings name no mail server.
    pub fn new(settings: &Settings) -> Result<Option<Self>, lettre::transport::smtp::Error> {
        let own = &settings.notifications;
        let (Some(url), Some(from)) = (&own.smtp_url, &own.from) else {
            return Ok(None);
        };
        let transport = builder(settings, url, &url.host)?
            .pool_config(PoolConfig::new().max_size(POOL))
            .build();
        Ok(Some(Self {
            transport,
            from: from.email.clone(),
            server: url.shown(),
        }))
    }

    /// The server without what signs in there.
    pub fn shown(&self) -> String {
        self.server.clone()
    }
}

/// A connection to `host` that is checked against the name in the address.
fn builder(
    settings: &Settings,
    url: &SmtpUrl,
    host: &str,
) -> Result<AsyncSmtpTransportBuilder, lettre::transport::smtp::Error> {
    let checked = || TlsParameters::new(url.host.clone());
    let tls = match url.tls {
        SmtpTls::Implicit => Tls::Wrapper(checked()?),
        SmtpTls::Required => Tls::Required(checked()?),
        SmtpTls::Opportunistic => Tls::Opportunistic(checked()?),
        SmtpTls::Never => Tls::None,
    };
    let mut out = Transport::builder_dangerous(host)
        .port(url.port)
        .tls(tls)
        .hello_name(ClientId::Domain(settings.service_host().to_owned()))
        .timeout(Some(Duration::from_secs(
            settings.outgoing.timeout_seconds.get(),
        )));
    if let Some(user) = &url.user {
        let password = url.password.as_ref().map(ExposeSecret::expose_secret);
        let password = password.unwrap_or_default().to_owned();
        out = out.credentials(Credentials::new(user.clone(), password));
    }
    Ok(out)
}

/// The mail server that a group has set for itself: `customService` with an `smtp` address, whose
/// password is the key beside it.
pub fn own_server(group: &AuthGroup) -> Option<SmtpUrl> {
    let service = &group.plugin_options.notification.custom_service;
    let url = service.extra.get_str("url")?;
    if !service.enabled || !SmtpUrl::is_one(url) {
        return None;
    }
    let mut server = SmtpUrl::parse(url).ok()?;
    let key = service
        .extra
        .get("customApiKey")
        .and_then(|k| k.as_document()?.get_str("key").ok());
    server.password = key.map(SecretString::from);
    Some(server)
}

/// Connects to a server that somebody of a group chose: to public addresses only, and to the very
/// address that was looked at.
async fn to_own_server(app: &App, url: &SmtpUrl) -> Result<Transport, DeliveryError> {
    let found = tokio::net::lookup_host((url.host.as_str(), url.port))
        .await
        .map_err(DeliveryError::Lookup)?;
    let allow_loopback = app.settings.outgoing.allow_loopback;
    let address = found
        .map(|a| a.ip())
        .find(|ip| is_allowed(*ip, allow_loopback))
        .ok_or(DeliveryError::NotPublic)?;
    Ok(builder(&app.settings, url, &address.to_string())?.build())
}

/// Says that a program wrote it (RFC 3834 §5), so that no programs answer.
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The mail of a message. Names are cut to one line; lettre encodes what is not plain text.
fn compose(app: &App, it: &Notification, from: Address) -> Result<Message, DeliveryError> {
    let to = it
        .recipient_email
        .as_deref()
        .filter(|_| it.formats.is_empty() || it.formats.iter().any(|f| f == "email"))
        .ok_or(DeliveryError::NoAddress)?;
    let letter = Letter::of(it);
    let sender = letter.platform.clone().filter(|name| !name.is_empty());
    let mut mail = Message::builder()
        .from(Mailbox::new(sender, from))
        .to(Mailbox::new(None, to.trim().parse()?))
        .subject(letter.subject.clone())
        .date(std::time::UNIX_EPOCH + Duration::from_millis(app.now_ms().unsigned_abs()))
        // the same at every attempt, so that mailboxes can tell a repetition
        .message_id(Some(format!(
            "<{}@{}>",
            one_line(&it.id),
            app.settings.service_host()
        )))
        .header(AutoSubmitted);
    if let Some(contact) = letter.contact.as_deref().and_then(|c| c.parse().ok()) {
        mail = mail.reply_to(Mailbox::new(None, contact));
    }
    let (text, html) = letter.render()?;
    Ok(mail.multipart(MultiPart::alternative_plain_html(text, html))?)
}

/// Sends by the group's mail server, or by the operator's.
#[derive(Debug)]
pub struct Mail;

#[async_trait]
impl Deliverer for Mail {
    async fn deliver(&self, app: &App, it: &Notification) -> Result<(), DeliveryError> {
        let group = app.store.of::<AuthGroup>().get(&it.auth_group_id).await?;
        if let Some((group, server)) = group.and_then(|g| own_server(&g).map(|s| (g, s))) {
            let from = server.from.clone().or(group.primary_email);
            let from = from.ok_or(DeliveryError::NoAddress)?.trim().parse()?;
            let mail = compose(app, it, from)?;
            to_own_server(app, &server).await?.send(mail).await?;
            return Ok(());
        }
        let own = app.mailer.as_ref().ok_or(DeliveryError::NoMailServer)?;
        let mail = compose(app, it, own.from.clone())?;
        own.transport.send(mail).await?;
        Ok(())
    }
}
