//! What people tell about themselves, whom they let see it, and what organizations keep of it.

pub mod asking;
pub mod model;
pub mod of_organization;
pub mod organization;
pub mod organization_routes;
pub mod patching;
pub mod request;
pub mod routes;
pub mod rules;

pub use model::{Profile, ProfileAccess};
pub use organization::OrganizationProfile;
pub use request::{ProfileRequest, ProfileSnapshot};

#[cfg(test)]
mod tests;
