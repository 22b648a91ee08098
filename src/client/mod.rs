//! The client side of the platform's gRPC interface: one that repeats a call, and one that sends
//! calls at given moments.

mod closed_loop;
mod connection;
mod health;
mod open_loop;
mod schedule;
mod tls_connector;

pub use self::{
    closed_loop::{Repeated, Repetition, repeat},
    connection::{Connection, Instance, Sample, Target},
    health::{Health, health},
    open_loop::{Driver, Progress, Sent},
    schedule::{Arrival, Schedule},
};
