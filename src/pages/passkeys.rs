//! Setting up a passkey: who it is for, then making it. Both need scripts, as passkeys do.

use askama::Template;

use super::{Shell, filters};

/// Asks for proof of who the passkey is for: the password, or a mailed link.
#[derive(Clone, Debug, Template)]
#[template(path = "set_passkey.html")]
pub struct SetPasskey<'a> {
    pub shell: Shell<'a>,
    /// `/{ag}/token/simple-iat`
    pub proof_url: &'a str,
    /// Goes with the proof and comes back with it.
    pub state: &'a str,
    /// `/{ag}/passkey`
    pub next_url: &'a str,
    /// `/{ag}/passkey/email-verify`, where links are mailed.
    pub mail_url: Option<&'a str>,
    /// Where devices can be asked.
    pub device: Option<DeviceProof>,
}

/// The addresses of a proof by a device.
#[derive(Clone, Debug)]
pub struct DeviceProof {
    /// `/api/{ag}/account/login/options`
    pub options_url: String,
    /// `/api/{ag}/device/challenge`
    pub challenge_url: String,
    /// `/api/{ag}/mfa`, what the status of every question begins with.
    pub status_url: String,
}

/// Makes the passkey.
#[derive(Clone, Debug, Template)]
#[template(path = "make_passkey.html")]
pub struct MakePasskey<'a> {
    pub shell: Shell<'a>,
    pub email: &'a str,
    pub account: &'a str,
    pub group: &'a str,
    /// `/api/{ag}/webauthn/bind`
    pub bind_url: &'a str,
    /// `/api/{ag}/webauthn/finish`
    pub finish_url: &'a str,
    /// Bearer token for both calls.
    pub token: &'a str,
    pub state: &'a str,
    /// `/{ag}/set-passkey`
    pub restart_url: &'a str,
}
