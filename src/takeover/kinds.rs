//! Which type reads the documents of which collection.

use bson::RawDocument;

use crate::oidc::records::{self, Record};
use crate::store::{Document, StoreError, readable};

pub type Decode = fn(&RawDocument) -> Result<(), StoreError>;

macro_rules! decoders {
    ($($type:ty),+ $(,)?) => {
        /// How the server reads documents of a collection, where it does.
        pub fn decoder(collection: &str) -> Option<Decode> {
            $(if collection == <$type as Document>::COLLECTION.name {
                return Some(readable::<$type>);
            })+
            None
        }
    };
}

decoders! {
    crate::accounts::Account,
    crate::accounts::model::LoginAttempt,
    crate::accounts::model::LoginTimeout,
    crate::accounts::model::PasswordHistory,
    crate::groups::model::AuthGroup,
    crate::organizations::Organization,
    crate::domains::Domain,
    crate::products::Product,
    crate::roles::Role,
    crate::permissions::Permission,
    crate::clients::Client,
    crate::plugins::Plugins,
    crate::passkeys::StoredPasskey,
    crate::passkeys::Ceremony,
    crate::totp::TotpSecret,
    crate::sealing::StoredKey,
    crate::devices::StoredDevice,
    crate::devices::Enrolment,
    crate::devices::push::PushKey,
    crate::notifications::model::Notification,
    crate::challenges::model::StoredChallenge,
    crate::challenges::model::ChallengeState,
    crate::profiles::model::Profile,
    crate::profiles::model::ProfileAccess,
    crate::profiles::organization::OrganizationProfile,
    crate::profiles::request::ProfileRequest,
    crate::profiles::request::ProfileSnapshot,
    crate::product_keys::model::ProductKey,
    crate::logs::Log,
    Record<records::AccessToken>,
    Record<records::AuthorizationCode>,
    Record<records::RefreshToken>,
    Record<records::ClientCredentials>,
    Record<records::InitialAccessToken>,
    Record<records::RegistrationAccessToken>,
    Record<records::Interaction>,
    Record<records::Session>,
    Record<records::Grant>,
    Record<records::ReplayDetection>,
}
