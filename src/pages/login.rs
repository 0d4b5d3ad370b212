//! Sign-in page: organization, address and password steps.

use askama::Template;

use super::{Flash, Shell, filters};

/// What the page asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginStep<'a> {
    /// The address or username.
    Email,
    /// The password of the address shown.
    Password,
    /// One of the ways without a password.
    Choose { device: bool, link: bool },
    /// The organization, before anything else; `remembered` are choices of earlier visits.
    SelfIdentify { remembered: Vec<&'a str> },
}

/// Look of a button that leads to another identity provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ButtonStyle {
    Google,
    LinkedIn,
    Microsoft,
    GitHub,
    Twitter,
    Apple,
    #[default]
    Standard,
}

impl ButtonStyle {
    /// Reads a stored `buttonType`; anything unknown is the standard button.
    pub fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "google" => Self::Google,
            "linkedin" => Self::LinkedIn,
            "microsoft" => Self::Microsoft,
            "github" => Self::GitHub,
            "twitter" => Self::Twitter,
            "apple" => Self::Apple,
            _ => Self::Standard,
        }
    }
}

/// One identity provider; `code` is posted as `upstream`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederationButton<'a> {
    pub code: &'a str,
    pub label: &'a str,
    pub style: ButtonStyle,
}

/// Sign-in through other identity providers.
#[derive(Clone, Debug, Default)]
pub struct Federation<'a> {
    /// `/{ag}/interaction/{uid}/federated`
    pub action: &'a str,
    pub buttons: Vec<FederationButton<'a>>,
    /// The buttons come before the form.
    pub priority: bool,
    /// The organization insists on its own sign-in: no other way is offered.
    pub only: bool,
}

/// Sign-in page. Forms post `csrf` and the fields of section 6.2 of the interaction contract.
#[derive(Clone, Debug, Template)]
#[template(path = "login.html")]
pub struct Login<'a> {
    pub shell: Shell<'a>,
    pub step: LoginStep<'a>,
    /// `/{ag}/interaction/{uid}/login`
    pub action: &'a str,
    pub csrf: &'a str,
    /// Prefilled address or username; empty for none.
    pub email: &'a str,
    /// Organization id carried to the next step.
    pub org: Option<&'a str>,
    pub org_name: Option<&'a str>,
    pub client_name: Option<&'a str>,
    pub flash: Option<Flash>,
    /// Offer sign-in without a password (link, device or passkey).
    pub passwordless: bool,
    /// False when the client allows password-free methods only and one of them is usable.
    pub show_password_field: bool,
    /// Show a button that mails a new verification message (`action=verify`).
    pub offer_verification: bool,
    pub federation: Federation<'a>,
    /// `/{ag}/forgotpassword`
    pub forgot_url: Option<&'a str>,
    pub register_url: Option<&'a str>,
    /// Start of this interaction, for "use another account".
    pub restart_url: Option<&'a str>,
    /// `/{ag}/interaction/{uid}/passkey`, where passkeys are on.
    pub passkey_url: Option<&'a str>,
    /// `/{ag}/set-passkey`
    pub passkey_setup_url: Option<&'a str>,
    /// `/{ag}/recover-mfa`
    pub device_setup_url: Option<&'a str>,
    /// `/{ag}/interaction/{uid}/abort`
    pub cancel_url: &'a str,
}

impl Login<'_> {
    /// The client's name, unless it would repeat the group's.
    fn shown_client(&self) -> Option<&str> {
        self.client_name
            .filter(|n| !n.is_empty() && *n != self.shell.brand.name())
    }

    fn is_password_step(&self) -> bool {
        self.step == LoginStep::Password
    }

    fn buttons_first(&self) -> bool {
        !self.federation.buttons.is_empty() && (self.federation.priority || self.federation.only)
    }

    fn buttons_last(&self) -> bool {
        !self.federation.buttons.is_empty() && !self.buttons_first()
    }

    /// Without any button a page that offers nothing would be a dead end, so the form stays.
    fn form_shown(&self) -> bool {
        !self.federation.only || self.federation.buttons.is_empty()
    }
}
