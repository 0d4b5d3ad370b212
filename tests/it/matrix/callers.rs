//! The kinds of callers.

use serde_json::Value;

use crate::flow::text;
use crate::tenant::Person;

/// Code and description of each column.
pub const COLUMNS: [(&str, &str); 14] = [
    ("none", "nobody: no credential"),
    (
        "mem",
        "member of the group and of organization A, without roles",
    ),
    ("oth", "owner of another group"),
    (
        "orgB",
        "administrator of organization B; what is asked about is A's",
    ),
    ("orgA", "administrator of organization A"),
    ("prod", "manager of one product in organization A"),
    ("adm", "holder of the group's Admin role"),
    ("own", "owner of the group"),
    ("root", "person of the root group"),
    ("cli", "client of the group without access"),
    ("cliA", "client of the group with the Admin role"),
    (
        "key",
        "product key of organization A with the OrganizationAdmin role",
    ),
    ("exp", "owner of the group with an expired token"),
    (
        "lock",
        "holder of the group's Admin role whose account is locked",
    ),
];

#[derive(Default, Debug)]
pub struct Caller {
    pub code: &'static str,
    pub token: Option<String>,
    /// Account or client id.
    pub id: String,
    pub email: String,
    /// The organization sent as `x-org-context`, where rights come from one.
    pub context: Option<String>,
    /// What a client authenticates with at the provider.
    pub secret: Option<String>,
}

impl Caller {
    pub fn nobody() -> Self {
        Self {
            code: "none",
            ..Self::default()
        }
    }

    pub fn person(code: &'static str, person: &Person, token: String) -> Self {
        Self {
            code,
            token: Some(token),
            id: person.id.clone(),
            email: person.email.clone(),
            ..Self::default()
        }
    }

    pub fn within(mut self, organization: &str) -> Self {
        self.context = Some(organization.to_owned());
        self
    }

    pub fn client(code: &'static str, client: &Value, token: String) -> Self {
        Self {
            code,
            token: Some(token),
            id: text(&client["client_id"]).to_owned(),
            secret: client["client_secret"].as_str().map(ToOwned::to_owned),
            ..Self::default()
        }
    }

    /// Holds rights that reach beyond one organization, if the request is good.
    pub fn is_broad(&self) -> bool {
        matches!(self.code, "adm" | "own" | "root" | "cliA")
    }
}
