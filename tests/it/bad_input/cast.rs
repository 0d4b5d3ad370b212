//! Whose requests are taken.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::flow::text;
use crate::matrix::callers::Caller;
use crate::matrix::table::Row;
use crate::matrix::world::World as Rooms;

/// Who may use the routes.
pub struct Cast {
    owner: Caller,
    root: Caller,
    member: Caller,
    friend: Caller,
    client: Caller,
    /// A client that manages itself, and one that could.
    pub own: Value,
    pub spare: Value,
    opaque: String,
    initial: String,
}

impl Cast {
    pub async fn of(rooms: &Rooms) -> Self {
        let tenant = &rooms.tenant;
        let own = tenant.web_client(json!({})).await;
        let tokens = tenant.tokens(&rooms.server, &own, &tenant.user, &[]).await;
        let token = |token: &String| token.clone();
        let member = Caller::person("mem", &rooms.colleague, token(&rooms.colleague_token));
        let friend = Caller {
            code: rooms.friend.code,
            token: rooms.friend.token.clone(),
            id: rooms.friend.id.clone(),
            email: rooms.friend.email.clone(),
            ..Caller::default()
        };
        Self {
            owner: Caller::person("own", &tenant.owner, token(&tenant.owner_token)),
            root: Caller {
                code: "root",
                token: Some(tenant.root_token.clone()),
                email: rooms.server.root.email.clone(),
                ..Caller::default()
            },
            member: member.within(&rooms.id("A")),
            friend,
            client: Caller::client("cli", &own, String::new()),
            spare: tenant.web_client(json!({})).await,
            opaque: text(&tokens["access_token"]).to_owned(),
            initial: tenant.registration_token(json!({})).await,
            own,
        }
    }

    pub fn for_route(&self, row: &Row) -> &Caller {
        match row.path.as_str() {
            "/api/account/groups"
            | "/api/group"
            | "/api/groups"
            | "/api/group/{id}/alias-dns"
            | "/api/group/{id}/alias-dns/{target}"
            | "/api/{group}/profiles" => &self.root,
            path if path.starts_with("/api/plugins/") => &self.root,
            "/api/{group}/access/organizations/{org}/terms" => &self.member,
            // the owner has none yet
            "/api/{group}/profile" if row.method != "POST" => &self.member,
            path if path.contains("/profile/request/{id}")
                || path.contains("/profile/snapshot/")
                || path.contains("/profile/access/") =>
            {
                &self.friend
            }
            "/{group}/token" | "/{group}/token/introspection" | "/{group}/token/revocation" => {
                &self.client
            }
            _ => &self.owner,
        }
    }

    pub fn credential(&self, row: &Row) -> Option<String> {
        let bearer = |token: &str| Some(format!("Bearer {token}"));
        match row.path.as_str() {
            "/api/init" => None,
            "/{group}/reg" => bearer(&self.initial),
            "/{group}/reg/{id}" => bearer(text(&self.own["registration_access_token"])),
            "/{group}/me" => bearer(&self.opaque),
            "/{group}/token/initial-access" | "/{group}/token/simple-iat" => {
                self.owner.authorization(&row.path)
            }
            path if path.starts_with("/api/") || path.starts_with("/{group}/token") => {
                self.for_route(row).authorization(path)
            }
            _ => None,
        }
    }

    pub fn secrets(&self) -> BTreeSet<String> {
        let people = [&self.owner, &self.root, &self.member, &self.friend];
        let mut out: BTreeSet<_> = people
            .iter()
            .filter_map(|caller| caller.token.clone())
            .collect();
        out.extend([self.opaque.clone(), self.initial.clone()]);
        for client in [&self.own, &self.spare] {
            for name in ["client_secret", "registration_access_token"] {
                out.insert(text(&client[name]).to_owned());
            }
        }
        out
    }
}
