//! Signing in by a device: waiting for it, and setting the first one up.

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
