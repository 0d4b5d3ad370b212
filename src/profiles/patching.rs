//! Bodies and patches of profiles.

use serde_json::{Map, Value as Json};

use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::patch::{self, PatchRules};
use crate::http::reply;
use crate::http::validate::{Kind, Shape, decode};
use crate::profiles::model::Details;
use crate::store::Document;

const TEXTS: &[&str] = &[
    "givenName",
    "familyName",
    "displayName",
    "bio",
    "picture",
    "employer",
    "title",
    "position",
    "personalHeader",
    "externalId",
];

static ADDRESS: Shape = Shape {
    required: &[],
    members: &[
        ("street1", Kind::Text),
        ("street2", Kind::Text),
        ("city", Kind::Text),
        ("state", Kind::Text),
        ("postalCode", Kind::Text),
        ("country", Kind::Text),
    ],
    open: true,
};

static EMAIL: Shape = Shape {
    required: &[],
    members: &[("label", Kind::Text), ("email", Kind::Text)],
    open: true,
};

static NUMBER: Shape = Shape {
    required: &[],
    members: &[("label", Kind::Text), ("number", Kind::Text)],
    open: true,
};

macro_rules! shape {
    ($open:expr, $required:expr, $($more:expr),*) => {
        Shape {
            required: $required,
            members: &[
                $($more,)*
                ("givenName", Kind::Text),
                ("familyName", Kind::Text),
                ("displayName", Kind::Text),
                ("personalHeader", Kind::Text),
                ("bio", Kind::Text),
                ("picture", Kind::Text),
                ("address", Kind::Nested(&ADDRESS)),
                ("employer", Kind::Text),
                ("title", Kind::Text),
                ("position", Kind::Text),
                ("additionalEmails", Kind::ListOf(&EMAIL)),
                ("contactNumbers", Kind::ListOf(&NUMBER)),
            ],
            open: $open,
        }
    };
}

/// A person's own profile.
pub static OWN: Shape = shape!(false, &["accountId"], ("accountId", Kind::Text));
/// What an organization keeps.
pub static OF_ORGANIZATION: Shape = shape!(
    false,
    &["accountId"],
    ("accountId", Kind::Text),
    ("externalId", Kind::Text)
);
/// What comes with a new account.
pub static OF_NEW: Shape = shape!(true, &[],);
/// What comes with an invitation.
pub static OF_INVITED: Shape = shape!(true, &[], ("externalId", Kind::Text));

fn invalid<T: Document>(why: impl std::fmt::Display) -> ApiError {
    ApiError::validation(format!("{} validation failed: {why}", T::COLLECTION.name))
}

/// The fields that the body fills in; `T` is the document they are for.
pub fn details<T: Document>(body: &Json) -> ApiResult<Details> {
    let mut known: Map<String, Json> = body.as_object().cloned().unwrap_or_default();
    known.remove("meta");
    decode(Json::Object(known)).map_err(invalid::<T>)
}

/// A document made with operations from another, with `protected` fields as they were.
pub fn apply<T: Document>(old: &T, operations: &Json, protected: &[&str]) -> ApiResult<T> {
    let before = serde_json::to_value(old).map_err(ApiError::internal)?;
    let rules = PatchRules {
        protected,
        // not shown, so not to be found out either
        write_only: &["meta.core"],
        ..PatchRules::default()
    };
    let mut after = patch::apply(&before, operations, &rules)?;
    for field in TEXTS {
        match after.get_mut(*field) {
            Some(value @ (Json::Bool(_) | Json::Number(_))) => *value = value.to_string().into(),
            Some(Json::Array(_) | Json::Object(_)) => {
                return Err(invalid::<T>(format_args!("{field}: must be string")));
            }
            _ => {}
        }
    }
    decode(after).map_err(invalid::<T>)
}

impl Details {
    /// Members without a fixed shape lose their stored types in JSON; unchanged ones keep them.
    pub fn keep_types(&mut self, old: &Self) {
        let json = |d: &Self| d.meta.as_ref().map(crate::store::Object::to_json);
        if json(self) == json(old) {
            self.meta.clone_from(&old.meta);
        }
    }

    /// Takes over what `newer` says; what it does not say stays.
    pub fn overlay(&mut self, newer: &Self) {
        fn say<T: Clone>(old: &mut Option<T>, new: Option<&T>) {
            if new.is_some() {
                *old = new.cloned();
            }
        }
        say(&mut self.given_name, newer.given_name.as_ref());
        say(&mut self.family_name, newer.family_name.as_ref());
        say(&mut self.display_name, newer.display_name.as_ref());
        say(&mut self.bio, newer.bio.as_ref());
        say(&mut self.picture, newer.picture.as_ref());
        say(&mut self.employer, newer.employer.as_ref());
        say(&mut self.title, newer.title.as_ref());
        say(&mut self.position, newer.position.as_ref());
        say(&mut self.personal_header, newer.personal_header.as_ref());
        say(&mut self.address, newer.address.as_ref());
        self.additional_emails.clone_from(&newer.additional_emails);
        self.contact_numbers.clone_from(&newer.contact_numbers);
    }
}

/// A profile as clients see it.
pub fn public(profile: &impl Document) -> Json {
    let mut out = reply::public_document(profile);
    hide(&mut out);
    out
}

/// Takes out what is the server's own.
pub fn hide(out: &mut Json) {
    if let Some(meta) = out.get_mut("meta").and_then(Json::as_object_mut) {
        meta.remove("core");
    }
}
