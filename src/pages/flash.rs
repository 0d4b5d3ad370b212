//! Short messages above a form. They are a closed set: text from a query string is never shown.

/// Colour and urgency of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Error,
    Info,
    Success,
}

/// A known message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flash {
    /// Wrong address or password, or an account that may not sign in; one text for all causes.
    InvalidCredentials,
    /// This attempt locked the account.
    LockedOut {
        /// Failed attempts within an hour that lock an account.
        threshold: u32,
        /// Length of the lock.
        hours: u32,
        contact: Option<String>,
    },
    /// The chosen way to sign in is switched off.
    NotEnabled,
    /// The account's address must be verified first.
    NotVerified,
    /// The sign-in took too long.
    Expired,
    /// The mailed link is used, old or from another browser.
    MagicLinkExpired,
    /// Device sign-in was chosen, but no device is bound.
    SetUpDeviceFirst,
    /// The device said no.
    DeviceDenied,
    /// The device said nothing in time.
    DeviceExpired,
    /// The device has not answered yet.
    DevicePending,
    /// The device does not answer, although it should have been set up.
    DeviceNotReady,
    /// The code that was typed is not the one of the device.
    WrongCode,
    /// A passkey did not verify.
    PasskeyFailed,
    OrganizationUnknown,
    /// The organization insists on its own sign-in.
    OrganizationSignInRequired,
    /// The other service did not confirm the sign-in.
    FederationFailed,
    TryLater,
    /// Too many requests; the pause is in seconds.
    SlowDown {
        seconds: u64,
    },
    /// A verification message is on its way, if the address is known.
    VerifySent,
    PasswordChanged,
    DeviceReady,
}

impl Flash {
    /// Word for a `flash` query parameter; [`Flash::from_id`] reads it back.
    pub fn id(&self) -> &'static str {
        match self {
            Self::InvalidCredentials => "invalid",
            Self::LockedOut { .. } => "locked",
            Self::NotEnabled => "not-enabled",
            Self::NotVerified => "not-verified",
            Self::Expired => "expired",
            Self::MagicLinkExpired => "link-expired",
            Self::SetUpDeviceFirst => "set-up-device",
            Self::DeviceDenied => "device-denied",
            Self::DeviceExpired => "device-expired",
            Self::DevicePending => "device-pending",
            Self::DeviceNotReady => "device-not-ready",
            Self::WrongCode => "wrong-code",
            Self::PasskeyFailed => "passkey-failed",
            Self::OrganizationUnknown => "organization-unknown",
            Self::OrganizationSignInRequired => "organization-sign-in",
            Self::FederationFailed => "federation-failed",
            Self::TryLater => "try-later",
            Self::SlowDown { .. } => "slow-down",
            Self::VerifySent => "verify-sent",
            Self::PasswordChanged => "password-changed",
            Self::DeviceReady => "device-ready",
        }
    }

    /// The message of a `flash` query parameter. Unknown words, and messages with numbers in them, give nothing.
    pub fn from_id(id: &str) -> Option<Self> {
        [
            Self::InvalidCredentials,
            Self::NotEnabled,
            Self::NotVerified,
            Self::Expired,
            Self::MagicLinkExpired,
            Self::SetUpDeviceFirst,
            Self::DeviceDenied,
            Self::DeviceExpired,
            Self::DevicePending,
            Self::DeviceNotReady,
            Self::WrongCode,
            Self::PasskeyFailed,
            Self::OrganizationUnknown,
            Self::OrganizationSignInRequired,
            Self::FederationFailed,
            Self::TryLater,
            Self::VerifySent,
            Self::PasswordChanged,
            Self::DeviceReady,
        ]
        .into_iter()
        .find(|f| f.id() == id)
    }

    /// Colour and urgency.
    pub fn tone(&self) -> Tone {
        match self {
            Self::VerifySent | Self::PasswordChanged | Self::DeviceReady => Tone::Success,
            Self::SetUpDeviceFirst
            | Self::NotVerified
            | Self::OrganizationSignInRequired
            | Self::DevicePending => Tone::Info,
            _ => Tone::Error,
        }
    }

    /// What the reader sees.
    pub fn text(&self) -> String {
        match self {
            Self::InvalidCredentials => {
                "That email and password don’t match. Check them and try again.".to_owned()
            }
            Self::LockedOut { threshold, hours, contact } => {
                let unit = if *hours == 1 { "hour" } else { "hours" };
                let mut text = format!(
                    "This account is locked for {hours} {unit}, because the password was wrong {threshold} times within one hour. \
                     Resetting the password unlocks it right away."
                );
                if let Some(address) = contact.as_deref().and_then(clean_address) {
                    text.push_str(" If you need help, write to ");
                    text.push_str(&address);
                    text.push('.');
                }
                text
            }
            Self::NotEnabled => "That way to sign in isn’t available here. Please use another one.".to_owned(),
            Self::NotVerified => {
                "Please verify your email address first. We can send you a new verification message.".to_owned()
            }
            Self::Expired => {
                "This sign-in took too long and has expired. Please start again from your application.".to_owned()
            }
            Self::MagicLinkExpired => {
                "That sign-in link has expired, was already used, or was opened in a different browser. Please ask for a new one."
                    .to_owned()
            }
            Self::SetUpDeviceFirst => {
                "To sign in with a device, set one up first. The link is at the bottom of this page.".to_owned()
            }
            Self::DeviceDenied => {
                "The sign-in was refused on the device. If that was not you, change your password.".to_owned()
            }
            Self::DeviceExpired => "The device did not answer in time. Please try again.".to_owned(),
            Self::DevicePending => "The device has not answered yet. Approve there first, then check again.".to_owned(),
            Self::DeviceNotReady => {
                "Your device could not be reached. Finish setting it up with the new instructions below.".to_owned()
            }
            Self::WrongCode => "That code is not right. Wait for the next one and try again.".to_owned(),
            Self::PasskeyFailed => "Your passkey could not be verified. Try again or use another way to sign in.".to_owned(),
            Self::OrganizationUnknown => "We couldn’t find that organization. Check the spelling and try again.".to_owned(),
            Self::OrganizationSignInRequired => {
                "Your organization asks you to sign in with its own service.".to_owned()
            }
            Self::FederationFailed => {
                "Signing in through the other service didn’t work. Please try again or use another way.".to_owned()
            }
            Self::TryLater => "Something went wrong on our side. Please try again in a few minutes.".to_owned(),
            Self::SlowDown { seconds } => {
                format!("That was a lot of attempts in a short time. Please wait {seconds} seconds and try again.")
            }
            Self::VerifySent => {
                "If this address belongs to an account, a verification message is on its way to it.".to_owned()
            }
            Self::PasswordChanged => "Your password has been changed. You can sign in with it now.".to_owned(),
            Self::DeviceReady => "Your device is set up. You can sign in with it now.".to_owned(),
        }
    }

    pub(crate) fn class(&self) -> &'static str {
        match self.tone() {
            Tone::Error => "flash flash-error",
            Tone::Info => "flash flash-info",
            Tone::Success => "flash flash-success",
        }
    }

    /// ARIA role: errors interrupt a screen reader, the rest waits.
    pub(crate) fn role(&self) -> &'static str {
        match self.tone() {
            Tone::Error => "alert",
            Tone::Info | Tone::Success => "status",
        }
    }
}

/// A mail address that is safe to show and to link; no full RFC 5322 check.
pub(crate) fn clean_address(text: &str) -> Option<String> {
    let text = text.trim();
    let (user, host) = text.split_once('@')?;
    let fit = !user.is_empty()
        && !host.is_empty()
        && text.len() <= 254
        && !text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "<>\"'(),;:\\?&".contains(c));
    fit.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_is_no_flash() {
        for text in ["", "Your account is locked, call 555", "<script>", "locked"] {
            assert_eq!(Flash::from_id(text), None, "{text}");
        }
    }

    #[test]
    fn ids_read_back() {
        for flash in [
            Flash::TryLater,
            Flash::VerifySent,
            Flash::MagicLinkExpired,
            Flash::DeviceReady,
        ] {
            assert_eq!(Flash::from_id(flash.id()), Some(flash));
        }
    }

    #[test]
    fn lock_text_names_its_numbers_and_a_clean_contact_only() {
        let text = |contact: &str| {
            Flash::LockedOut {
                threshold: 5,
                hours: 2,
                contact: Some(contact.to_owned()),
            }
            .text()
        };
        let good = text("help@a.test");
        for part in ["5 times", "2 hours", "one hour", "help@a.test"] {
            assert!(good.contains(part), "{good}");
        }
        assert!(!text("x@\"><script>").contains("script"));
    }
}
