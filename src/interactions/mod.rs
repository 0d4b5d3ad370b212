//! Pages of an authorization in progress.
