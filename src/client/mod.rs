//! The client side of the platform's two APIs: one that repeats a call, and one that sends calls at
//! given moments.

mod closed_loop;
mod connection;
mod driver;
mod first_call;
mod first_start;
mod health;
mod link;
mod load;
mod load_record;
mod raw;
mod request;
mod schedule;
mod sent;

pub use self::{
    closed_loop::{Repeated, Repetition, Sample, repeat},
    connection::{Connection, Instance, Peer, Target},
    first_call::first_calls,
    first_start::Starts,
    health::{Health, health},
    load::{Load, Loaded, Progress},
    load_record::{FunctionNames, LoadRecord, Run},
    request::{Answer, Method, Request},
    schedule::{Arrival, Arrivals, Schedule},
    sent::{Sent, Timing},
};
