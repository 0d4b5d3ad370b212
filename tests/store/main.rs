//! One suite for every storage engine: what holds on one must hold on all.
//!
//! The server engine runs against `UEAUTH_TEST_MONGODB_URI` if that is set, else against a
//! `FerretDB` found by `UEAUTH_TEST_FERRETDB`, in `target/tools`, or on the `PATH`.

// Clippy does not take helper functions of an integration test for test code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::assigning_clones)]

mod agreement;
mod bench;
mod conformance;
mod durability;
mod filters;
mod foreign;
mod outage;
mod shapes;
mod shared;

macro_rules! suite {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::$module::$name(crate::bench::Bench::embedded().await).await;
            })+
        }
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::$module::$name(crate::bench::Bench::memory().await).await;
            })+
        }
        mod server {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(bench) = crate::bench::Bench::server().await {
                    crate::$module::$name(bench).await;
                }
            })+
        }
    };
}

suite! {
    conformance::round_trip,
    conformance::unique_keys_are_enforced,
    conformance::missing_counts_as_a_value_of_a_unique_key,
    conformance::partial_unique_keys_are_enforced,
    conformance::concurrent_increments_are_not_lost,
    conformance::update_is_nothing_or_all,
    conformance::update_where_checks_its_filter_again,
    conformance::a_change_to_another_field_is_noticed,
    conformance::take_has_one_winner,
    conformance::expired_documents_are_gone,
    conformance::expired_documents_free_their_keys,
    conformance::put_replaces_or_adds,
    conformance::insert_many_stops_at_the_first_failure,
    conformance::many_are_updated_and_deleted,
    conformance::sorting_is_stable,
    conformance::pages_and_selections,
    conformance::words_are_found,
    conformance::large_documents_are_refused,
    conformance::an_undeclared_collection_is_refused,
    shared::every_kind_of_write_is_seen_at_once,
    shared::a_refused_write_changes_nothing_that_is_shared,
    shared::nobody_sees_less_than_what_was_answered,
    shared::what_is_shared_expires,
    shared::another_key_leads_to_the_same_document,
    shared::the_embedded_store_shares_for_a_second,
    shapes::unknown_fields_survive_an_update,
    shapes::untouched_fields_keep_their_type,
    shapes::any_text_is_stored,
    shapes::keys_with_dots_survive,
    filters::every_operator,
    filters::reserved_names_are_refused,
}
