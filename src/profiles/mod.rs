//! What people tell about themselves.

pub mod model;
pub mod organization;

pub use model::{Profile, ProfileAccess};
pub use organization::OrganizationProfile;
