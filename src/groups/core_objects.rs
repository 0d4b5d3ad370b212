//! What a group is given when it becomes active: two products with their permissions and roles,
//! its own organization and that organization's domain.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use crate::accounts::Account;
use crate::accounts::model::{AccessEntry, OrganizationAccess};
use crate::app::Parts;
use crate::clients::Client;
use crate::domains::Domain;
use crate::domains::model::DomainMeta;
use crate::groups::AuthGroup;
use crate::groups::model::system_admin;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::reply::public_document;
use crate::organizations::Organization;
use crate::permissions::Permission;
use crate::permissions::seed::{Seed, SeedPermission, SeedProduct, SeedRole};
use crate::products::Product;
use crate::products::model::{GROUP_ADMIN, ORG_ADMIN, ProductMeta};
use crate::roles::Role;
use crate::secrets::Random;
use crate::store::{Date, Document, Object, Store, StoreError, eq};

/// The role its creator gets.
const CREATORS_ROLE: &str = "Admin";

/// Who becomes the owner.
#[derive(Debug, Clone, Copy)]
pub struct Creator<'a> {
    pub id: &'a str,
    pub email: &'a str,
}

/// The core objects of one group; the product of the group's administrators comes first.
#[derive(Debug, Clone)]
pub struct CoreObjects {
    pub products: Vec<Product>,
    pub permissions: Vec<Permission>,
    pub organization: Organization,
    pub domain: Domain,
    pub roles: Vec<Role>,
    /// What the creator is given.
    pub access: AccessEntry,
}

/// What every core object of one group shares.
pub struct Maker<'a> {
    pub random: &'a Random,
    pub now: Date,
    pub group: &'a str,
    /// The name that texts call the group by.
    pub title: &'a str,
    pub by: &'a str,
}

impl CoreObjects {
    /// All objects in memory; nothing is stored.
    pub fn build(
        app: &Parts,
        group: &AuthGroup,
        client: &str,
        creator: Creator<'_>,
    ) -> ApiResult<Self> {
        let seed = Seed::load().map_err(ApiError::internal)?;
        let maker = Maker {
            random: &app.random,
            now: app.date(),
            group: &group.id,
            title: &group.name,
            by: creator.id,
        };
        let (mut products, mut permissions, mut roles) = (Vec::new(), Vec::new(), Vec::new());
        for entry in &seed.products {
            let product = maker.product(seed, entry, client);
            let own: Vec<Permission> = entry
                .permissions
                .iter()
                .map(|p| maker.permission(&product, entry, p))
                .collect();
            roles.extend(
                entry
                    .roles
                    .iter()
                    .map(|r| maker.role(&product, entry, r, &own)),
            );
            permissions.extend(own);
            products.push(product);
        }
        let ids: Vec<String> = products.iter().map(|p| p.id.clone()).collect();
        let organization = maker.organization(&ids, creator.email);
        let domain = maker.domain(&organization, &ids);
        let held = roles
            .iter()
            .find(|r| r.name == CREATORS_ROLE)
            .map(|r| r.id.clone())
            .ok_or_else(|| ApiError::internal("the seed has no role for the creator"))?;
        let access = AccessEntry {
            organization: OrganizationAccess {
                id: organization.id.clone(),
                domains: vec![domain.id.clone()],
                roles: vec![held],
                ..OrganizationAccess::default()
            },
            extra: Object::default(),
        };
        Ok(Self {
            products,
            permissions,
            organization,
            domain,
            roles,
            access,
        })
    }

    /// Stores all of them. After a failure some may be there: see [`remove_all`].
    pub async fn insert(&self, store: &Store) -> Result<(), StoreError> {
        store.of::<Product>().insert_many(&self.products).await?;
        store
            .of::<Permission>()
            .insert_many(&self.permissions)
            .await?;
        store
            .of::<Organization>()
            .insert(&self.organization)
            .await?;
        store.of::<Domain>().insert(&self.domain).await?;
        store.of::<Role>().insert_many(&self.roles).await
    }

    /// The `access` member of the answers to first start and activation.
    pub fn public(&self, account: &str) -> Json {
        let roles_of = |key: &str| -> Vec<Json> {
            let product = self
                .products
                .iter()
                .find(|p| p.meta.core.as_deref() == Some(key));
            self.roles
                .iter()
                .filter(|r| product.is_some_and(|p| p.id == r.product))
                .map(public_document)
                .collect()
        };
        json!({
            "products": self.products.iter().map(Product::public).collect::<Vec<_>>(),
            "organization": public_document(&self.organization),
            "domain": public_document(&self.domain),
            "roles": [{ GROUP_ADMIN: roles_of(GROUP_ADMIN), ORG_ADMIN: roles_of(ORG_ADMIN) }],
            "userAccess": { "id": account, "access": [self.access] },
        })
    }
}

impl Maker<'_> {
    fn product(&self, seed: &Seed, entry: &SeedProduct, client: &str) -> Product {
        let title = self.title;
        let description = if entry.key == GROUP_ADMIN {
            format!(
                "Administration of '{title}' as a whole, for its own staff only. It is part of the platform: without it nobody can administer the group."
            )
        } else {
            format!(
                "Where customers of '{title}' administer their own organizations. It is part of the platform: without it they can not."
            )
        };
        Product {
            id: self.random.uuid(),
            created_at: self.now,
            created_by: self.by.to_owned(),
            modified_at: self.now,
            modified_by: system_admin(),
            auth_group: self.group.to_owned(),
            name: format!("{title} - {}", entry.name_suffix),
            description: Some(description),
            kind: Some("global".to_owned()),
            coded_id: self.random.coded10(),
            url: None,
            b2c: false,
            core: true,
            meta: ProductMeta {
                core: Some(entry.key.clone()),
                permissions_version: Some(seed.permissions_version.clone()),
                roles_version: Some(seed.roles_version.clone()),
                extra: Object::default(),
            },
            associated_clients: vec![client.to_owned()],
            version: 0,
            extra: Object::default(),
        }
    }

    pub fn permission(
        &self,
        product: &Product,
        entry: &SeedProduct,
        seed: &SeedPermission,
    ) -> Permission {
        Permission {
            id: self.random.uuid(),
            created_at: self.now,
            created_by: system_admin(),
            auth_group: self.group.to_owned(),
            product: product.id.clone(),
            target: seed.target.clone(),
            action: seed.action.clone(),
            description: Some(format!(
                "Used by the {} of '{}'. Roles of the platform rely on it, so keep it.",
                entry.name_suffix, self.title
            )),
            ownership_required: seed.own,
            coded: seed.coded(),
            core: true,
            tags: vec![entry.tag.clone()],
            version: 0,
            extra: Object::default(),
        }
    }

    /// A role with those of the product's permissions that the seed names.
    pub fn role(
        &self,
        product: &Product,
        entry: &SeedProduct,
        seed: &SeedRole,
        permissions: &[Permission],
    ) -> Role {
        Role {
            id: self.random.uuid(),
            created_at: self.now,
            created_by: self.by.to_owned(),
            modified_at: self.now,
            modified_by: system_admin(),
            auth_group: self.group.to_owned(),
            name: seed.name.clone(),
            description: Some(format!(
                "{} of the {} of '{}'. It is part of the platform, so keep it.",
                seed.name, entry.name_suffix, self.title
            )),
            custom: false,
            organization: None,
            product: product.id.clone(),
            product_coded_id: Some(product.coded_id.clone()),
            permissions: granted(seed, permissions),
            coded_id: self.random.coded10(),
            core: true,
            version: 0,
            extra: Object::default(),
        }
    }

    fn organization(&self, products: &[String], email: &str) -> Organization {
        let title = self.title;
        Organization {
            id: self.random.uuid(),
            created_at: self.now,
            created_by: self.by.to_owned(),
            modified_at: self.now,
            modified_by: system_admin(),
            auth_group: self.group.to_owned(),
            name: format!("{title} Platform Admin"),
            active: true,
            description: Some(format!(
                "The organization that runs '{title}'. Its members administer the group, so keep it."
            )),
            kind: "internal".to_owned(),
            contact_email: Some(email.to_owned()),
            contact_name: None,
            contact_address: None,
            contact_phone: None,
            external_id: None,
            alias: None,
            metadata: None,
            associated_products: products.to_vec(),
            core: true,
            email_domains: Vec::new(),
            access: crate::organizations::model::AccessTerms::default(),
            profile_notifications: false,
            restrict_email_domains: false,
            sso_limit: false,
            sso_add_account_to_org: false,
            sso: None,
            sso_email_domain: None,
            version: 0,
            extra: Object::default(),
        }
    }

    fn domain(&self, organization: &Organization, products: &[String]) -> Domain {
        Domain {
            id: self.random.uuid(),
            created_at: self.now,
            created_by: self.by.to_owned(),
            modified_at: self.now,
            modified_by: system_admin(),
            auth_group: self.group.to_owned(),
            organization: organization.id.clone(),
            name: format!("{} Primary Domain", self.title),
            active: true,
            description: Some(format!(
                "Gives members of '{}' access to the portals. It is part of the platform, so keep it.",
                organization.name
            )),
            associated_org_products: products.to_vec(),
            core: true,
            meta: DomainMeta {
                admin: Some(organization.id.clone()),
                extra: Object::default(),
            },
            external_id: None,
            version: 0,
            extra: Object::default(),
        }
    }
}

/// A role's permissions as stored: `"<permission id> <coded>"`.
pub fn granted(seed: &SeedRole, permissions: &[Permission]) -> Vec<String> {
    let ids: HashMap<&str, &str> = permissions
        .iter()
        .map(|p| (p.coded.as_str(), p.id.as_str()))
        .collect();
    seed.permissions
        .iter()
        .filter_map(|coded| ids.get(coded.as_str()).map(|id| format!("{id} {coded}")))
        .collect()
}

/// Removes accounts, clients and core objects of a group that never was active. Goes on after
/// a failure and reports the first one.
pub async fn remove_all(store: &Store, group: &str) -> Result<(), StoreError> {
    let results = [
        clear::<Account>(store, group).await,
        clear::<Role>(store, group).await,
        clear::<Domain>(store, group).await,
        clear::<Organization>(store, group).await,
        clear::<Permission>(store, group).await,
        clear::<Product>(store, group).await,
        store
            .of::<Client>()
            .delete_many(eq("payload.auth_group", group))
            .await
            .map(|_| ()),
    ];
    results.into_iter().collect()
}

async fn clear<T: Document>(store: &Store, group: &str) -> Result<(), StoreError> {
    store
        .of::<T>()
        .delete_many(eq("authGroup", group))
        .await
        .map(|_| ())
}
