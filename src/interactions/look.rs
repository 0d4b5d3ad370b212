//! How a group's pages look, and the headers they are sent with.

use actix_web::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::clients::Client;
use crate::gate::Ctx;
use crate::http::error::ApiResult;
use crate::http::{Reply, headers, reply};
use crate::pages::{Brand, BrandInput, ClientLook, Orientation, Policy, Shell, csp};

/// Brand, nonce and base path for one answer.
#[derive(Debug)]
pub struct Look {
    brand: Brand,
    nonce: String,
    base: String,
    csp: String,
    framing_self: bool,
    https: bool,
}

/// The group's brand, or the server's where no group is known.
pub fn brand(ctx_app: &crate::app::App, tenant: Option<&crate::groups::Tenant>) -> Brand {
    let settings = &ctx_app.settings;
    let fonts = settings.ui.custom_fonts_url.as_ref().map(url::Url::as_str);
    let Some(tenant) = tenant else {
        return Brand::new(BrandInput {
            name: &settings.bootstrap.company_name,
            fonts_url: fonts,
            ..BrandInput::default()
        });
    };
    let group = &tenant.group;
    let skin = &group.config.ui.skin;
    Brand::new(BrandInput {
        name: if group.name == "root" {
            &settings.bootstrap.company_name
        } else {
            &group.name
        },
        logo: skin.logo.as_deref(),
        favicon: skin.favicon.as_deref(),
        splash: skin.splash_image.as_deref(),
        gradient_low: Some(&skin.bg_gradient_low),
        gradient_high: Some(&skin.bg_gradient_high),
        orientation: Orientation::parse(&skin.login_orientation),
        tos: group.primary_tos.as_deref(),
        policy: group.primary_privacy_policy.as_deref(),
        contact_email: group.primary_email.as_deref(),
        home: group.primary_domain.as_deref(),
        fonts_url: fonts,
    })
}

impl Look {
    pub fn of(ctx: &Ctx) -> ApiResult<Self> {
        Ok(Self::new(
            &ctx.app,
            ctx.tenant.as_deref(),
            ctx.req.hosts.secure,
        ))
    }

    pub fn new(app: &crate::app::App, tenant: Option<&crate::groups::Tenant>, https: bool) -> Self {
        Self::build(app, tenant, https, false)
    }

    /// For viewers that write their own style elements.
    pub fn with_inline_styles(
        app: &crate::app::App,
        tenant: Option<&crate::groups::Tenant>,
        https: bool,
    ) -> Self {
        Self::build(app, tenant, https, true)
    }

    fn build(
        app: &crate::app::App,
        tenant: Option<&crate::groups::Tenant>,
        https: bool,
        inline_styles: bool,
    ) -> Self {
        let nonce = STANDARD.encode(app.random.bytes::<16>());
        let own = tenant
            .map(|t| t.group.config.ui.frame_ancestors.join(","))
            .filter(|list| !list.is_empty());
        let ancestors = own.unwrap_or_else(|| app.settings.default_frame_ancestors());
        let csp = csp(&Policy {
            nonce: &nonce,
            frame_ancestors: &ancestors,
            https,
            connect: &[],
            inline_styles,
        });
        Self {
            brand: brand(app, tenant),
            base: tenant.map(|t| format!("/{}", t.id())).unwrap_or_default(),
            framing_self: ancestors == "'self'",
            nonce,
            csp,
            https,
        }
    }

    /// With the client's own logo and links.
    #[must_use]
    pub fn for_client(mut self, client: Option<&Client>) -> Self {
        if let Some(client) = client {
            let p = &client.payload;
            self.brand = self.brand.for_client(ClientLook {
                logo_uri: p.text("logo_uri"),
                tos_uri: p.text("tos_uri"),
                policy_uri: p.text("policy_uri"),
                client_uri: p.text("client_uri"),
            });
        }
        self
    }

    pub fn shell<'a>(&'a self, title: &'a str) -> Shell<'a> {
        Shell {
            brand: &self.brand,
            nonce: &self.nonce,
            base: &self.base,
            title,
        }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// The page with everything that protects it.
    pub fn page(&self, status: StatusCode, html: String) -> Reply {
        let mut out = reply::html(status, html);
        headers::secure(out.headers_mut(), &self.csp, self.framing_self, self.https);
        out
    }
}
