//! Messages as people read them, in plain text and in HTML.

use askama::Template;
use url::Url;

use crate::notifications::Notification;
use crate::store::Object;

/// Longest name or subject, in characters.
const LINE: usize = 200;

/// A message with what its mail shows. Everything in it may come from outside.
#[derive(Debug, Clone)]
pub struct Letter {
    pub subject: String,
    /// Name of the group.
    pub platform: Option<String>,
    pub contact: Option<String>,
    paragraphs: Vec<String>,
    link: Option<String>,
    label: &'static str,
    logo: Option<String>,
    tos: Option<String>,
    policy: Option<String>,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    it: &'a Letter,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Text<'a> {
    it: &'a Letter,
}

/// The text without line breaks or other control characters, so that it cannot become a second
/// header, or look like one.
pub fn one_line(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if is_breaking(c) { ' ' } else { c })
        .collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.join(" ").chars().take(LINE).collect()
}

/// Ends a line, is not seen, or turns the direction of what follows.
fn is_breaking(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Addresses of pages, and nothing that a mail program could run.
fn page(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host();
    fits.then(|| url.into())
}

impl Letter {
    pub fn of(it: &Notification) -> Self {
        let none = Object::default();
        let branding = it.branding.as_ref().unwrap_or(&none);
        let said = |name: &str| {
            branding
                .get_str(name)
                .map(one_line)
                .filter(|t| !t.is_empty())
        };
        let linked = |name: &str| branding.get_str(name).and_then(page);
        let platform = said("platform");
        let label = match it.kind.as_deref() {
            Some("verify") => "Verify my address",
            Some("forgotPassword") => "Choose a new password",
            Some("passwordless") => "Sign in",
            _ => "Open",
        };
        let subject = it.subject.as_deref().map(one_line);
        Self {
            subject: subject
                .filter(|s| !s.is_empty())
                .or_else(|| platform.clone())
                .unwrap_or_else(|| "Notification".to_owned()),
            platform,
            contact: said("contact"),
            paragraphs: it
                .message
                .as_deref()
                .unwrap_or_default()
                .lines()
                .map(|line| line.replace(is_breaking, " ").trim().to_owned())
                .filter(|line| !line.is_empty())
                .collect(),
            link: it.screen_url.as_deref().and_then(page),
            label,
            logo: linked("logo"),
            tos: linked("tos"),
            policy: linked("privacyPolicy"),
        }
    }

    /// Plain text, then HTML.
    pub fn render(&self) -> Result<(String, String), askama::Error> {
        Ok((Text { it: self }.render()?, Html { it: self }.render()?))
    }
}
