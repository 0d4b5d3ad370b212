//! Message page: confirmations and errors.

use askama::Template;

use super::{Flash, Shell, filters};

/// One page for everything that only needs to be said.
#[derive(Clone, Debug, Template)]
#[template(path = "message.html")]
pub struct Message<'a> {
    pub shell: Shell<'a>,
    pub heading: &'a str,
    pub text: &'a str,
    /// Folded away under "More information": name and value.
    pub details: Vec<(String, String)>,
    /// Target and label of the button.
    pub home: Option<(&'a str, &'a str)>,
    pub flash: Option<Flash>,
    /// `/{ag}/forgotpassword`
    pub forgot_url: Option<&'a str>,
    /// `/{ag}/set-passkey`
    pub passkey_setup_url: Option<&'a str>,
    /// Use the group's gradient, if it has one.
    pub gradient: bool,
}

impl<'a> Message<'a> {
    /// A message without anything optional.
    pub fn new(shell: Shell<'a>, heading: &'a str, text: &'a str) -> Self {
        Self {
            shell,
            heading,
            text,
            details: Vec::new(),
            home: None,
            flash: None,
            forgot_url: None,
            passkey_setup_url: None,
            gradient: true,
        }
    }
}
