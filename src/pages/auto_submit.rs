//! A form that sends itself.

use askama::Template;

use super::{Shell, filters};

/// Posts its fields as soon as it is shown; a button does so where scripts are off.
/// Used for `response_mode=form_post` (OAuth 2.0 Form Post Response Mode) and for steps of the same site.
#[derive(Clone, Debug, Template)]
#[template(path = "auto_submit.html")]
pub struct AutoSubmit<'a> {
    pub shell: Shell<'a>,
    /// Form id, where the contract names one.
    pub id: Option<&'a str>,
    pub action: &'a str,
    pub fields: Vec<(String, String)>,
}
