//! Landing page and hosts of the API documentation.

use askama::Template;

use super::{Shell, assets, filters};

/// First page of the server.
#[derive(Clone, Debug, Template)]
#[template(path = "landing.html")]
pub struct Landing<'a> {
    pub shell: Shell<'a>,
    pub name: &'a str,
    pub version: &'a str,
    pub description: &'a str,
    /// Label and target.
    pub links: Vec<(&'a str, &'a str)>,
    pub copyright: Option<&'a str>,
}

/// Which viewer shows the API document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocsViewer {
    Swagger,
    Redoc,
}

/// Page that shows an OpenAPI document, or links to it when the viewer's files are not part of this build.
#[derive(Clone, Debug, Template)]
#[template(path = "docs.html")]
pub struct DocsPage<'a> {
    pub shell: Shell<'a>,
    pub viewer: DocsViewer,
    /// `/swagger.json` or `/{ag}/swagger.json`
    pub document_url: &'a str,
}

impl DocsPage<'_> {
    fn script(&self) -> Option<String> {
        assets::url(match self.viewer {
            DocsViewer::Swagger => "vendor/swagger-ui-bundle.js",
            DocsViewer::Redoc => "vendor/redoc.standalone.js",
        })
    }

    fn style(&self) -> Option<String> {
        match self.viewer {
            DocsViewer::Swagger => assets::url("vendor/swagger-ui.css"),
            DocsViewer::Redoc => None,
        }
    }
}
