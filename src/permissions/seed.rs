//! What every group starts with: core products, their permissions and roles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

const PERMISSIONS: &str = include_str!("../../config/bootstrap/permissions.toml");
const ROLES: &str = include_str!("../../config/bootstrap/roles.toml");

/// What every account may do in its own group; prefix each with `<group id>-`.
pub const MEMBER_PERMISSIONS: &[&str] = &[
    "member:::accounts::update:own",
    "member:::accounts::read:own",
    "member:::accounts::delete:own",
    "member:::useraccess::delete:own",
    "member:::useraccess::read:own",
    "member:::operations-reset-user-password::create",
    "member:::operations-user::create:own",
    "member:::operations-invite::create:own",
    "member:::accounts-notification::read:own",
];

/// The coded form of a permission: `target::action`, with `:own` when it reaches only the
/// caller's own records; lower case, spaces as dashes.
pub fn coded(target: &str, action: &str, own: bool) -> String {
    let suffix = if own { ":own" } else { "" };
    format!("{target}::{action}{suffix}")
        .to_lowercase()
        .replace(' ', "-")
}

/// The files in `config/bootstrap` are damaged.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("config/bootstrap/{file} can not be read: {source}")]
    Syntax {
        file: &'static str,
        source: toml::de::Error,
    },
    #[error(
        "the action `{action}` of {target} is not create, read, update or delete, with or without `:own`"
    )]
    Action { target: String, action: String },
    #[error("{what} occurs twice")]
    Twice { what: String },
    #[error("the role {role} belongs to the unknown product {product}")]
    Product { role: String, product: String },
    #[error("the role {role} names the permission {permission}, which its product does not have")]
    Permission { role: String, permission: String },
}

/// Everything a new group gets, and the versions of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    pub permissions_version: String,
    pub roles_version: String,
    /// Whether groups should be pressed to take an update.
    pub force: bool,
    pub products: Vec<SeedProduct>,
}

/// A core product; `key` is `groupAdmin` or `orgAdmin` and stored as `meta.core`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedProduct {
    pub key: String,
    /// The product's name is `<group name> - <suffix>`.
    pub name_suffix: String,
    /// The one tag of its permissions.
    pub tag: String,
    pub permissions: Vec<SeedPermission>,
    pub roles: Vec<SeedRole>,
}

/// A permission; `target` keeps its letter case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeedPermission {
    pub target: String,
    pub action: String,
    pub own: bool,
}

impl SeedPermission {
    pub fn coded(&self) -> String {
        coded(&self.target, &self.action, self.own)
    }

    fn parse(target: &str, action: &str) -> Result<Self, SeedError> {
        let (name, own) = action
            .strip_suffix(":own")
            .map_or((action, false), |name| (name, true));
        if !matches!(name, "create" | "read" | "update" | "delete") {
            return Err(SeedError::Action {
                target: target.to_owned(),
                action: action.to_owned(),
            });
        }
        Ok(Self {
            target: target.to_owned(),
            action: name.to_owned(),
            own,
        })
    }
}

/// A role of a core product, with the coded forms of its permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedRole {
    pub name: String,
    pub permissions: Vec<String>,
}

impl Seed {
    /// The built-in seed, parsed once.
    pub fn load() -> Result<&'static Self, &'static SeedError> {
        static SEED: LazyLock<Result<Seed, SeedError>> =
            LazyLock::new(|| Seed::parse(PERMISSIONS, ROLES));
        SEED.as_ref()
    }

    /// The core product with this key.
    pub fn product(&self, key: &str) -> Option<&SeedProduct> {
        self.products.iter().find(|product| product.key == key)
    }

    fn parse(permissions: &str, roles: &str) -> Result<Self, SeedError> {
        let syntax = |file| move |source| SeedError::Syntax { file, source };
        let permissions: PermissionsFile =
            toml::from_str(permissions).map_err(syntax("permissions.toml"))?;
        let roles: RolesFile = toml::from_str(roles).map_err(syntax("roles.toml"))?;
        let products = permissions
            .products
            .into_iter()
            .map(SeedProduct::try_from)
            .collect::<Result<_, _>>()?;
        let mut seed = Self {
            permissions_version: permissions.version,
            roles_version: roles.version,
            force: permissions.force,
            products,
        };
        for role in roles.roles {
            seed.add_role(role)?;
        }
        Ok(seed)
    }

    fn add_role(&mut self, entry: RoleEntry) -> Result<(), SeedError> {
        let Some(product) = self
            .products
            .iter_mut()
            .find(|product| product.key == entry.product)
        else {
            return Err(SeedError::Product {
                role: entry.name,
                product: entry.product,
            });
        };
        if product.roles.iter().any(|role| role.name == entry.name) {
            return Err(SeedError::Twice {
                what: format!("the role {}", entry.name),
            });
        }
        let known: BTreeSet<String> = product
            .permissions
            .iter()
            .map(SeedPermission::coded)
            .collect();
        let mut permissions = Vec::new();
        for permission in grants(&entry.permissions)? {
            let permission = permission.coded();
            if !known.contains(&permission) {
                return Err(SeedError::Permission {
                    role: entry.name,
                    permission,
                });
            }
            permissions.push(permission);
        }
        product.roles.push(SeedRole {
            name: entry.name,
            permissions,
        });
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionsFile {
    version: String,
    force: bool,
    products: Vec<ProductEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductEntry {
    key: String,
    name_suffix: String,
    tag: String,
    targets: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RolesFile {
    version: String,
    roles: Vec<RoleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleEntry {
    product: String,
    name: String,
    permissions: BTreeMap<String, Vec<String>>,
}

impl TryFrom<ProductEntry> for SeedProduct {
    type Error = SeedError;

    fn try_from(entry: ProductEntry) -> Result<Self, SeedError> {
        let permissions = grants(&entry.targets)?;
        Ok(Self {
            key: entry.key,
            name_suffix: entry.name_suffix,
            tag: entry.tag,
            permissions,
            roles: Vec::new(),
        })
    }
}

/// The permissions of a table from targets to actions.
fn grants(targets: &BTreeMap<String, Vec<String>>) -> Result<Vec<SeedPermission>, SeedError> {
    let mut seen = BTreeSet::new();
    let mut permissions = Vec::new();
    for (target, actions) in targets {
        for action in actions {
            let permission = SeedPermission::parse(target, action)?;
            if !seen.insert(permission.coded()) {
                return Err(SeedError::Twice {
                    what: format!("the permission {}", permission.coded()),
                });
            }
            permissions.push(permission);
        }
    }
    Ok(permissions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unheld(product: &SeedProduct) -> Vec<String> {
        let held: BTreeSet<&String> = product
            .roles
            .iter()
            .flat_map(|role| &role.permissions)
            .collect();
        product
            .permissions
            .iter()
            .map(SeedPermission::coded)
            .filter(|coded| !held.contains(coded))
            .collect()
    }

    #[test]
    fn the_seed_has_the_expected_size() {
        let seed = Seed::load().unwrap();
        assert_eq!(
            (
                seed.permissions_version.as_str(),
                seed.roles_version.as_str()
            ),
            ("06-29-2023", "06-29-2023")
        );
        assert!(!seed.force);
        let shape = |product: &SeedProduct| {
            let roles: Vec<_> = product
                .roles
                .iter()
                .map(|r| (r.name.clone(), r.permissions.len()))
                .collect();
            (
                product.key.clone(),
                product.tag.clone(),
                product.permissions.len(),
                roles,
            )
        };
        assert_eq!(
            seed.products.iter().map(shape).collect::<Vec<_>>(),
            [
                (
                    "groupAdmin".into(),
                    "ag-portal".into(),
                    96,
                    vec![("Admin".into(), 49), ("OrgManager".into(), 32)]
                ),
                (
                    "orgAdmin".into(),
                    "org-portal".into(),
                    38,
                    vec![("OrganizationAdmin".into(), 32)]
                ),
            ]
        );
        assert_eq!(
            seed.product("orgAdmin").unwrap().name_suffix,
            "Customer Portal"
        );
    }

    #[test]
    fn the_same_permissions_are_left_to_custom_roles() {
        let seed = Seed::load().unwrap();
        assert_eq!(
            unheld(seed.product("groupAdmin").unwrap()),
            [
                "accounts::read:own",
                "clients::read:own",
                "clients::update:own",
                "clients::delete:own",
                "domains-limited::read:own",
                "domains-limited::update:own",
                "domains-limited::delete:own",
                "operations-client::create",
                "operations-client::create:own",
                "operations-reset-user-password::create",
                "operations-user::create",
                "operations-user::create:own",
                "organizations::delete:own",
                "permissions::delete:own",
                "products::update:own",
                "products::delete:own",
            ]
        );
        assert_eq!(
            unheld(seed.product("orgAdmin").unwrap()),
            [
                "accounts::read:own",
                "domains-limited::read:own",
                "domains-limited::update:own",
                "domains-limited::delete:own",
                "operations-reset-user-password::create",
                "organizations::delete:own",
            ]
        );
    }

    #[test]
    fn the_managers_hold_the_same_set() {
        let seed = Seed::load().unwrap();
        let role = |product, name| {
            let role = seed
                .product(product)
                .unwrap()
                .roles
                .iter()
                .find(|role| role.name == name);
            role.unwrap().permissions.clone()
        };
        assert_eq!(
            role("groupAdmin", "OrgManager"),
            role("orgAdmin", "OrganizationAdmin")
        );
        let own: Vec<_> = role("groupAdmin", "Admin")
            .into_iter()
            .filter(|p| p.ends_with(":own"))
            .collect();
        assert_eq!(
            own,
            [
                "group::read:own",
                "group::update:own",
                "group-keys::read:own"
            ]
        );
    }

    #[test]
    fn targets_keep_their_case_and_codes_do_not() {
        let seed = Seed::load().unwrap();
        let token = seed.products[0]
            .permissions
            .iter()
            .find(|p| p.target == "initialAccessToken")
            .unwrap();
        assert_eq!(token.coded(), "initialaccesstoken::create");
        assert_eq!(coded("Big Reports", "read", true), "big-reports::read:own");
    }

    #[test]
    fn member_permissions_are_distinct() {
        let distinct: BTreeSet<_> = MEMBER_PERMISSIONS.iter().collect();
        assert_eq!(distinct.len(), 9);
        assert!(
            MEMBER_PERMISSIONS
                .iter()
                .all(|p| p.starts_with("member:::") && *p == p.to_lowercase())
        );
    }

    #[test]
    fn damage_is_reported() {
        let product = "version = \"1\"\nforce = false\n[[products]]\nkey = \"p\"\nname_suffix = \"P\"\ntag = \"t\"\n[products.targets]\n";
        let role = |text: &str| format!("version = \"1\"\n[[roles]]\nname = \"R\"\n{text}");
        let good = format!("{product}a = [\"read\"]");
        let fails = |permissions: &str, roles: &str| Seed::parse(permissions, roles).unwrap_err();
        let empty = "version = \"1\"\nroles = []";
        assert!(Seed::parse(&good, empty).is_ok());
        assert!(matches!(
            fails(&format!("{product}a = [\"list\"]"), empty),
            SeedError::Action { .. }
        ));
        assert!(matches!(
            fails(&format!("{product}a = [\"read\", \"read\"]"), empty),
            SeedError::Twice { .. }
        ));
        assert!(matches!(fails("x", empty), SeedError::Syntax { .. }));
        let unknown = role("product = \"q\"\n[roles.permissions]");
        assert!(matches!(fails(&good, &unknown), SeedError::Product { .. }));
        let missing = role("product = \"p\"\n[roles.permissions]\na = [\"read:own\"]");
        assert!(matches!(
            fails(&good, &missing),
            SeedError::Permission { .. }
        ));
    }
}
