//! What a group looks like: its name, images, colours and links.

use std::sync::LazyLock;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use regex::Regex;
use url::Url;

use super::flash::clean_address;

/// Where the sign-in panel stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    Left,
    #[default]
    Middle,
    Right,
}

impl Orientation {
    /// Reads the stored word; anything unknown is the middle.
    pub fn parse(word: &str) -> Self {
        match word {
            "left" => Self::Left,
            "right" => Self::Right,
            _ => Self::Middle,
        }
    }

    /// Class of the document's body.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Left => "at-left",
            Self::Middle => "at-middle",
            Self::Right => "at-right",
        }
    }
}

/// Unchecked look of a group, as stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct BrandInput<'a> {
    pub name: &'a str,
    pub logo: Option<&'a str>,
    pub favicon: Option<&'a str>,
    /// Image behind the whole page.
    pub splash: Option<&'a str>,
    /// CSS colours; the background is a gradient only when both are valid.
    pub gradient_low: Option<&'a str>,
    pub gradient_high: Option<&'a str>,
    pub orientation: Orientation,
    pub tos: Option<&'a str>,
    pub policy: Option<&'a str>,
    pub contact_email: Option<&'a str>,
    pub home: Option<&'a str>,
    /// Extra stylesheet that declares fonts.
    pub fonts_url: Option<&'a str>,
}

/// Look of a client that replaces the group's on some pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientLook<'a> {
    pub logo_uri: Option<&'a str>,
    pub tos_uri: Option<&'a str>,
    pub policy_uri: Option<&'a str>,
    pub client_uri: Option<&'a str>,
}

/// Checked look of a group. Links and images are absolute http(s) URLs, colours are plain CSS colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brand {
    pub(crate) name: String,
    pub(crate) logo: Option<String>,
    pub(crate) favicon: Option<String>,
    pub(crate) splash: Option<String>,
    pub(crate) gradient: Option<(String, String)>,
    pub(crate) orientation: Orientation,
    pub(crate) tos: Option<String>,
    pub(crate) policy: Option<String>,
    pub(crate) contact_email: Option<String>,
    pub(crate) home: Option<String>,
    pub(crate) fonts_url: Option<String>,
}

impl Brand {
    /// Keeps what is valid and drops the rest, so that a bad setting never breaks or subverts a page.
    pub fn new(input: BrandInput<'_>) -> Self {
        Self {
            name: input.name.to_owned(),
            logo: web_url(input.logo),
            favicon: web_url(input.favicon),
            splash: web_url(input.splash),
            gradient: colour(input.gradient_low).zip(colour(input.gradient_high)),
            orientation: input.orientation,
            tos: web_url(input.tos),
            policy: web_url(input.policy),
            contact_email: input.contact_email.and_then(clean_address),
            home: web_url(input.home),
            fonts_url: web_url(input.fonts_url),
        }
    }

    /// The same brand with a client's logo and links where the client has valid ones.
    pub fn for_client(&self, client: ClientLook<'_>) -> Self {
        let mut brand = self.clone();
        for (place, given) in [
            (&mut brand.logo, client.logo_uri),
            (&mut brand.tos, client.tos_uri),
            (&mut brand.policy, client.policy_uri),
            (&mut brand.home, client.client_uri),
        ] {
            if let Some(url) = web_url(given) {
                *place = Some(url);
            }
        }
        brand
    }

    /// Name of the group as shown.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checked contact address.
    pub fn contact_email(&self) -> Option<&str> {
        self.contact_email.as_deref()
    }

    /// Checked home page.
    pub fn home(&self) -> Option<&str> {
        self.home.as_deref()
    }

    /// `mailto:` link of the contact address (RFC 6068).
    pub(crate) fn contact_link(&self) -> Option<String> {
        self.contact_email
            .as_deref()
            .map(|address| format!("mailto:{}", utf8_percent_encode(address, &MAIL)))
    }

    /// Classes of the document's body.
    pub(crate) fn body_class(&self, keep_orientation: bool) -> String {
        let orientation = if keep_orientation {
            self.orientation
        } else {
            Orientation::Middle
        };
        let mut class = orientation.class().to_owned();
        if self.gradient.is_some() {
            class.push_str(" has-gradient");
        }
        if self.splash.is_some() {
            class.push_str(" has-splash");
        }
        class
    }
}

/// What every page needs around its content.
#[derive(Clone, Copy, Debug)]
pub struct Shell<'a> {
    pub brand: &'a Brand,
    /// Nonce of this response; the same value must be given to [`super::csp`].
    pub nonce: &'a str,
    /// Path prefix of the group, e.g. `/{ag}`, without a trailing slash; empty when no group is known.
    pub base: &'a str,
    /// Text of the document's title.
    pub title: &'a str,
}

const MAIL: AsciiSet = NON_ALPHANUMERIC
    .remove(b'@')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'+');

/// Hexadecimal, named, and functional colours. Nothing that could end a declaration can match.
static COLOUR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?:#(?:[0-9A-Fa-f]{3,4}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})|[A-Za-z]{3,24}|(?:rgb|rgba|hsl|hsla|hwb|lab|lch|oklab|oklch)\([0-9A-Za-z.,%/ +-]{1,60}\))$")
        .ok()
});

fn colour(text: Option<&str>) -> Option<String> {
    let text = text?.trim();
    COLOUR.as_ref()?.is_match(text).then(|| text.to_owned())
}

/// Normalised absolute http(s) URL without credentials.
fn web_url(text: Option<&str>) -> Option<String> {
    let text = text?.trim();
    let with_scheme;
    // Primary domains are often stored as bare host names.
    let text = if is_bare_host(text) {
        with_scheme = format!("https://{text}");
        &with_scheme
    } else {
        text
    };
    let url = Url::parse(text).ok()?;
    let fit = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some()
        && url.username().is_empty()
        && url.password().is_none();
    fit.then(|| url.into())
}

fn is_bare_host(text: &str) -> bool {
    text.contains('.')
        && text.split('/').next().is_some_and(|host| {
            host.contains('.')
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_that_could_leave_a_declaration_are_dropped() {
        for good in [
            "#fff",
            "#131525",
            "#1D203580",
            "rebeccapurple",
            "rgb(1, 2, 3)",
            "hsl(120deg 50% 50% / 0.5)",
        ] {
            assert_eq!(colour(Some(good)).as_deref(), Some(good));
        }
        for bad in [
            "red;}",
            "red}</style><script>alert(1)</script>",
            "url(https://evil.test)",
            "expression(alert(1))",
            "#12",
            "#12345",
            "rgb(1,2,3);background:url(x)",
            "rgb(url(x))",
            "var(--x)",
            "#fff\n}",
            "",
        ] {
            assert_eq!(colour(Some(bad)), None, "{bad}");
        }
    }

    #[test]
    fn urls_are_http_or_dropped() {
        assert_eq!(
            web_url(Some("https://a.test/l.png")).as_deref(),
            Some("https://a.test/l.png")
        );
        assert_eq!(web_url(Some("a.test")).as_deref(), Some("https://a.test/"));
        for bad in [
            "javascript:alert(1)",
            "data:image/png;base64,x",
            "ftp://a.test",
            "/logo.png",
            "https://u:p@a.test",
            "",
        ] {
            assert_eq!(web_url(Some(bad)), None, "{bad}");
        }
    }

    #[test]
    fn one_bad_colour_means_no_gradient() {
        let brand = Brand::new(BrandInput {
            gradient_low: Some("#fff"),
            gradient_high: Some("red;"),
            ..BrandInput::default()
        });
        assert_eq!(brand.gradient, None);
    }

    #[test]
    fn a_client_overrides_only_with_valid_values() {
        let brand = Brand::new(BrandInput {
            logo: Some("https://g.test/l.png"),
            tos: Some("https://g.test/tos"),
            ..BrandInput::default()
        });
        let shown = brand.for_client(ClientLook {
            logo_uri: Some("https://c.test/l.png"),
            tos_uri: Some("javascript:alert(1)"),
            ..ClientLook::default()
        });
        assert_eq!(shown.logo.as_deref(), Some("https://c.test/l.png"));
        assert_eq!(shown.tos.as_deref(), Some("https://g.test/tos"));
    }
}
