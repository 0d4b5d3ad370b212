//! A multi-tenant OpenID Connect provider and identity-and-access server.

pub mod access;
pub mod accounts;
pub mod app;
pub mod clients;
pub mod domains;
pub mod gate;
pub mod groups;
pub mod http;
pub mod interactions;
pub mod number;
pub mod oidc;
pub mod organizations;
pub mod permissions;
pub mod plugins;
pub mod products;
pub mod roles;
pub mod jose;
pub mod secrets;
pub mod settings;
pub mod pages;
//! A multi-tenant OpenID Connect provider and identity server.

pub mod store;
