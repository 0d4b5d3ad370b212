//! Pages that a browser sees: view models, their templates and the files they load.
//!
//! Every page is a value with all that it shows; [`Page::html`] turns it into a document. Nothing in here
//! knows requests, responses or the store. Text is escaped by the templates, URLs pass through the `href`
//! filter, and colours are checked by [`Brand::new`].

pub mod assets;
mod auto_submit;
mod brand;
mod consent;
mod csp;
mod device_app;
mod devices;
mod filters;
mod flash;
mod landing;
mod login;
mod logout;
mod message;
mod passkeys;
pub mod qr;
mod recovery;
#[cfg(test)]
mod tests;

pub use auto_submit::AutoSubmit;
pub use brand::{Brand, BrandInput, ClientLook, Orientation, Shell};
pub use consent::{Consent, OfflineAccess, ResourceScopes};
pub use csp::{Policy, csp};
pub use device_app::DeviceApp;
pub use devices::{BindDevice, SetDevice, WaitDevice};
pub use flash::{Flash, Tone};
pub use landing::{DocsPage, DocsViewer, Landing};
pub use login::{ButtonStyle, Federation, FederationButton, Login, LoginStep};
pub use logout::{Logout, LogoutCancel, LogoutSuccess};
pub use message::Message;
pub use passkeys::{DeviceProof, MakePasskey, SetPasskey};
pub use recovery::{
    ForgotPassword, LockAccount, NewPassword, OwnedGroup, OwnedGroups, RecoverAccount,
};

/// A page that can be turned into an HTML document.
pub trait Page {
    /// The whole document, UTF-8, to be sent as `text/html; charset=utf-8` with the [`csp`] of the same nonce.
    fn html(&self) -> String;
}

impl<T: askama::Template> Page for T {
    fn html(&self) -> String {
        // Writing into a string cannot fail, but a blank page must never be what a failure looks like.
        self.render().unwrap_or_else(|_| {
            "<!doctype html><html lang=\"en\"><title>Error</title><p>This page could not be shown. Please try again.</p></html>"
                .to_owned()
        })
    }
}
