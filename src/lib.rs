//! A multi-tenant OpenID Connect provider and identity-and-access server.

pub mod access;
pub mod accounts;
pub mod app;
pub mod challenges;
pub mod cli;
pub mod clients;
pub mod domains;
pub mod gate;
pub mod groups;
pub mod http;
pub mod interactions;
pub mod jose;
pub mod limits;
pub mod number;
pub mod oidc;
pub mod organizations;
pub mod pages;
pub mod permissions;
pub mod plugins;
pub mod products;
pub mod roles;
pub mod secrets;
pub mod serve;
pub mod settings;
pub mod store;
pub mod store_schema;
