//! Devices: waiting for one, and setting one up.

use askama::Template;

use super::{Flash, Shell, filters};

/// Waits until a device has answered.
#[derive(Clone, Debug, Template)]
#[template(path = "wait_device.html")]
pub struct WaitDevice<'a> {
    pub shell: Shell<'a>,
    /// `/{ag}/interaction/{uid}/confirm-mfa`
    pub action: &'a str,
    pub csrf: &'a str,
    pub key: &'a str,
    pub account: &'a str,
    /// Two digits that the device must enter.
    pub number: Option<&'a str>,
    /// A code is typed here.
    pub by_code: bool,
    /// Whether there is a device at all is not told.
    pub perhaps: bool,
    pub flash: Option<Flash>,
    /// `/api/{ag}/mfa/{key}/account/{account}/interaction/{uid}`
    pub challenge_url: &'a str,
    /// Start of this interaction.
    pub restart_url: &'a str,
    /// `/{ag}/recover-mfa`
    pub device_setup_url: Option<&'a str>,
    pub cancel_url: &'a str,
}

/// Sets up the device that an account must have.
#[derive(Clone, Debug, Template)]
#[template(path = "bind_device.html")]
pub struct BindDevice<'a> {
    pub shell: Shell<'a>,
    /// `/{ag}/interaction/{uid}/login`
    pub action: &'a str,
    pub csrf: &'a str,
    pub flash: Option<Flash>,
    /// What to do, one after the other.
    pub steps: Vec<String>,
    /// The code to scan, as text.
    pub code: Option<&'a str>,
    /// The same as an SVG element of [`super::qr::svg`].
    pub qr: Option<String>,
    /// Address and label of a page elsewhere that sets the device up.
    pub screen: Option<(&'a str, &'a str)>,
    pub restart_url: &'a str,
    pub cancel_url: &'a str,
}

/// Sets up a device, step by step, by the API.
#[derive(Clone, Debug, Template)]
#[template(path = "set_device.html")]
pub struct SetDevice<'a> {
    pub shell: Shell<'a>,
    /// `/api/{ag}/mfa/instructions`
    pub instructions_url: &'a str,
    /// `/api/{ag}/mfa/proof`
    pub proof_url: &'a str,
    /// `/api/{ag}/mfa/safe-recovery`
    pub choice_url: &'a str,
    /// Ties the requests together.
    pub state: &'a str,
    /// Who it is, proven by a mailed link.
    pub token: Option<&'a str>,
    /// Whom the link went to; shown only.
    pub email: &'a str,
    /// `/{ag}/recover-mfa/email-verify`, where links are mailed.
    pub mail_url: Option<&'a str>,
    /// `/api/{ag}/webauthn/authenticate`, where passkeys are on.
    pub passkey_url: Option<&'a str>,
    /// Codes can be mailed.
    pub mails: bool,
    /// `/{ag}/recover-mfa`
    pub restart_url: &'a str,
    /// `/{ag}/set-passkey`
    pub passkey_setup_url: Option<String>,
}
