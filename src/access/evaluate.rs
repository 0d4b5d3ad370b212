//! Computes access objects, in full and in the compact form that goes into tokens.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json, json};

use crate::accounts::Account;
use crate::accounts::model::OrganizationAccess;
use crate::clients::Client;
use crate::domains::Domain;
use crate::groups::AuthGroup;
use crate::organizations::Organization;
use crate::permissions::seed::MEMBER_PERMISSIONS;
use crate::products::Product;
use crate::roles::Role;
use crate::store::{Store, StoreError, and, any_of, eq, or};

/// Narrows an access object.
#[derive(Debug, Clone, Default)]
pub struct AccessFilter {
    /// An organization's id, external id or alias; one that does not exist is ignored.
    pub organization: Option<String>,
    pub domain: Option<String>,
    pub product: Option<String>,
    pub exclude_permissions: bool,
    pub include_misc_roles: bool,
}

/// Everything an account may do in its group.
#[derive(Debug, Clone)]
pub struct UserGrants {
    pub sub: String,
    pub group: String,
    pub owner: bool,
    pub member: bool,
    pub organizations: Vec<OrganizationGrants>,
}

#[derive(Debug, Clone)]
pub struct OrganizationGrants {
    pub stored: OrganizationAccess,
    pub domains: Vec<String>,
    pub products: Vec<String>,
    pub roles: Vec<Role>,
    pub misc_roles: Vec<Role>,
    pub with_permissions: bool,
}

/// What a client may do: one product and its roles there.
#[derive(Debug, Clone, Default)]
pub struct ClientGrants {
    pub product: Option<String>,
    pub roles: Vec<Role>,
}

/// The nine permissions every member of a group holds, in stored order.
pub fn member_permissions(group: &str) -> Vec<String> {
    MEMBER_PERMISSIONS
        .iter()
        .map(|p| format!("{group}-{p}"))
        .collect()
}

/// An organization of the group by id, external id or alias.
pub async fn find_organization(
    store: &Store,
    group: &str,
    key: &str,
) -> Result<Option<Organization>, StoreError> {
    let organizations = store.of::<Organization>();
    if let Some(found) = organizations
        .get(key)
        .await?
        .filter(|o| o.auth_group == group)
    {
        return Ok(Some(found));
    }
    for (field, value) in [
        ("externalId", key.to_owned()),
        ("alias", key.to_lowercase()),
    ] {
        let filter = and([eq("authGroup", group), eq(field, value)]);
        if let Some(found) = organizations.find_one(filter).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

impl UserGrants {
    /// Reads what the account's access entries refer to: three reads whatever their number.
    pub async fn load(
        store: &Store,
        group: &AuthGroup,
        account: &Account,
        filter: &AccessFilter,
    ) -> Result<Self, StoreError> {
        let only = match &filter.organization {
            Some(key) => find_organization(store, &group.id, key)
                .await?
                .map(|o| o.id),
            None => None,
        };
        let entries: Vec<&OrganizationAccess> = account
            .access
            .iter()
            .map(|e| &e.organization)
            .filter(|e| only.as_ref().is_none_or(|id| *id == e.id))
            .collect();
        let mut out = Self {
            sub: account.id.clone(),
            group: group.id.clone(),
            owner: group.owner == account.id,
            member: true,
            organizations: Vec::with_capacity(entries.len()),
        };
        if entries.is_empty() {
            return Ok(out);
        }
        let ids = |f: fn(&OrganizationAccess) -> &[String]| -> Vec<String> {
            entries
                .iter()
                .flat_map(|e| f(e).iter().cloned())
                .collect::<HashSet<_>>()
                .into_iter()
                .collect()
        };
        let in_group = || eq("authGroup", group.id.as_str());
        let (organization_store, domain_store, role_store) = (
            store.of::<Organization>(),
            store.of::<Domain>(),
            store.of::<Role>(),
        );
        let (organizations, domains, roles) = tokio::try_join!(
            organization_store.find(and([
                in_group(),
                any_of("_id", entries.iter().map(|e| e.id.clone()))
            ])),
            domain_store.find(and([in_group(), any_of("_id", ids(|e| &e.domains))])),
            role_store.find(and([in_group(), any_of("_id", ids(|e| &e.roles))])),
        )?;
        let organizations: HashMap<&str, &Organization> =
            organizations.iter().map(|o| (o.id.as_str(), o)).collect();
        let domains: HashMap<&str, &Domain> = domains.iter().map(|d| (d.id.as_str(), d)).collect();
        let roles: HashMap<&str, &Role> = roles.iter().map(|r| (r.id.as_str(), r)).collect();
        for entry in entries {
            let Some(organization) = organizations.get(entry.id.as_str()) else {
                continue;
            };
            let terms = &entry.terms;
            if terms.required && !(terms.accepted && terms.terms_accepted_on.is_some()) {
                continue;
            }
            if organization.restrict_email_domains
                && !(has_domains(organization) && organization.allows_email(&account.email))
            {
                continue;
            }
            out.organizations.push(one(entry, &domains, &roles, filter));
        }
        Ok(out)
    }

    /// `owner`, `member` or both.
    pub fn group_claim(&self) -> String {
        match (self.owner, self.member) {
            (true, true) => "owner member".to_owned(),
            (true, false) => "owner".to_owned(),
            (false, true) => "member".to_owned(),
            (false, false) => String::new(),
        }
    }

    /// The compact form, also the source of token claims.
    pub fn minimized(&self) -> Map<String, Json> {
        let mut out = Map::new();
        out.insert("type".into(), "user".into());
        out.insert("sub".into(), self.sub.clone().into());
        out.insert("authGroup".into(), self.group.clone().into());
        out.insert("owner".into(), self.owner.into());
        out.insert("member".into(), self.member.into());
        let mut add = |name: &str, map: Map<String, Json>| {
            if !map.is_empty() {
                out.insert(name.to_owned(), Json::Object(map));
            }
        };
        let per_org = |f: &dyn Fn(&OrganizationGrants) -> String| -> Map<String, Json> {
            self.organizations
                .iter()
                .map(|o| (o.stored.id.clone(), f(o)))
                .filter(|(_, v)| !v.is_empty())
                .map(|(k, v)| (k, Json::String(v)))
                .collect()
        };
        add("domains", per_org(&|o| o.domains.join(" ")));
        add("products", per_org(&OrganizationGrants::product_claim));
        let mut roles = per_org(&|o| role_claim(&o.roles));
        let misc: Vec<Role> = self
            .organizations
            .iter()
            .flat_map(|o| o.misc_roles.iter().cloned())
            .collect();
        if !misc.is_empty() {
            roles.insert("misc".into(), role_claim(&misc).into());
        }
        add("productRoles", roles);
        let mut permissions = per_org(&|o| {
            if o.with_permissions {
                permission_claim(&o.roles)
            } else {
                String::new()
            }
        });
        let member = if self.member {
            member_permissions(&self.group).join(" ")
        } else {
            String::new()
        };
        permissions.insert("member".into(), member.into());
        add("permissions", permissions);
        if !self.organizations.is_empty() {
            let ids: Vec<&str> = self
                .organizations
                .iter()
                .map(|o| o.stored.id.as_str())
                .collect();
            out.insert("orgs".into(), ids.join(" ").into());
        }
        out
    }

    /// The full form.
    pub fn full(&self) -> Json {
        let access: Vec<Json> = self
            .organizations
            .iter()
            .map(|o| json!({ "organization": o.full() }))
            .collect();
        json!({
            "sub": self.sub,
            "type": "user",
            "authGroup": {
                "id": self.group,
                "owner": self.owner,
                "member": self.member,
                "memberPermissions": if self.member { member_permissions(&self.group) } else { Vec::new() },
            },
            "access": access,
        })
    }
}

fn has_domains(organization: &Organization) -> bool {
    organization
        .email_domains
        .iter()
        .any(|d| d.as_str().is_some())
}

fn one(
    entry: &OrganizationAccess,
    domains: &HashMap<&str, &Domain>,
    roles: &HashMap<&str, &Role>,
    filter: &AccessFilter,
) -> OrganizationGrants {
    let held: Vec<&Domain> = entry
        .domains
        .iter()
        .filter_map(|id| domains.get(id.as_str()).copied())
        .filter(|d| {
            d.organization == entry.id && filter.domain.as_ref().is_none_or(|only| *only == d.id)
        })
        .collect();
    let mut products: Vec<String> = Vec::new();
    for product in held.iter().flat_map(|d| &d.associated_org_products) {
        if filter.product.as_ref().is_none_or(|only| only == product) && !products.contains(product)
        {
            products.push(product.clone());
        }
    }
    let mut out = OrganizationGrants {
        stored: entry.clone(),
        domains: held.iter().map(|d| d.id.clone()).collect(),
        products,
        roles: Vec::new(),
        misc_roles: Vec::new(),
        with_permissions: !filter.exclude_permissions,
    };
    let usable = entry
        .roles
        .iter()
        .filter_map(|id| roles.get(id.as_str()).copied())
        .filter(|r| r.organization.as_ref().is_none_or(|o| *o == entry.id));
    for role in usable {
        if out.products.contains(&role.product) {
            out.roles.push(role.clone());
        } else if filter.include_misc_roles {
            out.misc_roles.push(role.clone());
        }
    }
    out
}

impl OrganizationGrants {
    /// `productId[,codedId] …`: the coded id only for products with a role.
    fn product_claim(&self) -> String {
        let entries: Vec<String> = self
            .products
            .iter()
            .map(|id| {
                match self
                    .roles
                    .iter()
                    .find(|r| r.product == *id)
                    .and_then(|r| r.product_coded_id.as_deref())
                {
                    Some(coded) => format!("{id},{coded}"),
                    None => id.clone(),
                }
            })
            .collect();
        entries.join(" ")
    }

    fn full(&self) -> Json {
        let mut terms = serde_json::to_value(&self.stored.terms).unwrap_or_default();
        if let Some(map) = terms.as_object_mut() {
            map.remove("termsOfAccess");
        }
        let brief = |roles: &[Role]| -> Vec<Json> {
            roles
                .iter()
                .map(|r| json!({ "id": r.id, "name": r.name, "associatedProduct": r.product }))
                .collect()
        };
        let mut out = json!({
            "id": self.stored.id,
            "terms": terms,
            "domainAccess": self.domains,
            "productAccess": self.products,
            "productRoles": brief(&self.roles),
        });
        if let Some(map) = out.as_object_mut() {
            let mut seen = HashSet::new();
            let permissions: Vec<Json> = self
                .roles
                .iter()
                .filter(|_| self.with_permissions)
                .flat_map(|r| r.permissions.iter().map(move |p| (r, p)))
                .filter_map(|(r, p)| p.split_once(' ').map(|(id, code)| (r, id, code)))
                .filter(|(_, id, _)| seen.insert((*id).to_owned()))
                .map(|(r, id, code)| json!({ "id": id, "code": code, "product": r.product }))
                .collect();
            if !permissions.is_empty() {
                map.insert("productPermissions".into(), permissions.into());
            }
            if !self.misc_roles.is_empty() {
                map.insert("miscRoles".into(), brief(&self.misc_roles).into());
            }
        }
        out
    }
}

/// `[org::]product::role …`
fn role_claim(roles: &[Role]) -> String {
    let entries: Vec<String> = roles
        .iter()
        .map(|r| {
            let product = r.product_coded_id.as_deref().unwrap_or(&r.product);
            match (&r.organization, r.custom) {
                (Some(org), true) => format!("{org}::{product}::{}", r.coded_id),
                _ => format!("{product}::{}", r.coded_id),
            }
        })
        .collect();
    entries.join(" ")
}

/// `product:::target::action …`, each permission once.
fn permission_claim(roles: &[Role]) -> String {
    let mut seen = HashSet::new();
    let mut out = String::new();
    for role in roles {
        let product = role.product_coded_id.as_deref().unwrap_or(&role.product);
        for (id, code) in role.permissions.iter().filter_map(|p| p.split_once(' ')) {
            if seen.insert(id) {
                if !out.is_empty() {
                    out.push(' ');
                }
                out.push_str(product);
                out.push_str(":::");
                out.push_str(code);
            }
        }
    }
    out
}

impl ClientGrants {
    /// Roles that no longer exist are left out.
    pub async fn load(store: &Store, group: &str, client: &Client) -> Result<Self, StoreError> {
        let Some(access) = client
            .access
            .as_ref()
            .filter(|a| a.product.is_some() && !a.roles.is_empty())
        else {
            return Ok(Self::default());
        };
        let product = access.product.clone().unwrap_or_default();
        let roles = store
            .of::<Role>()
            .find(and([
                eq("authGroup", group),
                eq("product", product.as_str()),
                or([
                    any_of("_id", access.roles.clone()),
                    any_of("codedId", access.roles.clone()),
                ]),
            ]))
            .await?;
        Ok(Self {
            product: Some(product),
            roles,
        })
    }

    pub fn roles_claim(&self) -> String {
        role_claim(&self.roles)
    }

    pub fn permissions_claim(&self) -> String {
        permission_claim(&self.roles)
    }

    pub fn is_empty(&self) -> bool {
        self.product.is_none() || self.roles.is_empty()
    }
}

/// The core products of a group, administrators' first.
pub async fn core_products(store: &Store, group: &str) -> Result<Vec<Product>, StoreError> {
    let mut found = store
        .of::<Product>()
        .find(and([
            eq("authGroup", group),
            any_of(
                "meta.core",
                [
                    crate::products::model::GROUP_ADMIN,
                    crate::products::model::ORG_ADMIN,
                ],
            ),
        ]))
        .await?;
    found.retain(|p| p.core && p.kind.as_deref() == Some("global"));
    found.sort_by_key(|p| p.meta.core.as_deref() != Some(crate::products::model::GROUP_ADMIN));
    Ok(found)
}
