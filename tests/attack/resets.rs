//! Requests that are ended at once, by the client or by what it sends (CVE-2023-44487,
//! CVE-2025-8671).

use crate::{
    attacker::Attacker,
    cases,
    frames::{DATA, END_STREAM, call, frame, reset, stream, window_update},
    rig::{Form, Rig},
};

cases! {
    short:
        rapid_resets_of_long_calls,
        resets_that_data_after_the_end_make;
    long:
        resets_that_a_window_update_of_zero_makes,
        resets_that_an_overflow_of_a_window_makes;
}

/// Calls that `ended` ends, over one connection after another.
async fn storm(form: Form, ended: impl Fn(usize) -> Vec<u8>) {
    let rig = Rig::start(form, "").await;
    rig.attacked(async |rig| {
        while !rig.is_over() {
            let attacker = Attacker::connect(rig.address).await;
            for first in (0..1_000_000).step_by(200) {
                let calls = (first..first + 200)
                    .flat_map(|number| [call(number, &rig.slow), ended(number)].concat());
                if rig.is_over() || !attacker.send(&calls.collect::<Vec<_>>()).await {
                    break;
                }
            }
        }
    })
    .await;
}

async fn rapid_resets_of_long_calls(form: Form) {
    storm(form, reset).await;
}

async fn resets_that_a_window_update_of_zero_makes(form: Form) {
    storm(form, |number| window_update(stream(number), 0)).await;
}

async fn resets_that_data_after_the_end_make(form: Form) {
    storm(form, |number| frame(DATA, END_STREAM, stream(number), b"x")).await;
}

async fn resets_that_an_overflow_of_a_window_makes(form: Form) {
    storm(form, |number| window_update(stream(number), i32::MAX as u32).repeat(2)).await;
}
