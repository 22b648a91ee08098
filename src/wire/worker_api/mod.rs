//! The platform's API of today: the service `worker.Worker`. Calls come to the instances' own
//! addresses ([`instance`](super::instance)).

mod convert;
mod service;

pub(crate) use self::service::WorkerApi;
