//! What an API implements to be served.

use std::{
    convert::Infallible,
    pin::Pin,
    thread::{self, ThreadId},
};

use bytes::Bytes;
use http::{Request, Response};
use parking_lot::Mutex;
use tonic::{Status, body::Body, service::Routes};
use tower_service::Service as _;

use super::{account::Account, connection::Connection};
use crate::wire::status::with_common_codes;

/// An API at an address. `T` is what each call thread has for its endpoints, such as its clock.
pub trait Endpoint<T>: Send + Sync + 'static {
    /// Answers the requests of a connection.
    type Service: Service;

    /// Makes the service of a new connection, on the call thread that will serve it. An endpoint may
    /// decide by the connection's local address; what is expensive to make can be kept in a
    /// [`PerThread`].
    fn service(&self, thread: &T, connection: &Connection) -> Self::Service;
}

/// Answers requests on one call thread.
pub trait Service: Send + 'static {
    /// Answers a request. The body is read from the connection as the service asks for it.
    fn respond<B: RequestBody>(&self, request: Request<B>) -> ResponseFuture;

    /// Ends when the connection is to be closed before its endpoint is removed, and says how.
    fn ending(&self) -> impl Future<Output = Ending> + Send + 'static {
        std::future::pending()
    }
}

/// How a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It takes no more requests, and is closed when those that it has have ended.
    Finish,
    /// At once.
    Cut,
}

/// A response that is being made. Errors are gRPC statuses inside a response.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// The body of a request that passed the limits of the transport.
pub trait RequestBody:
    http_body::Body<Data = Bytes, Error = Status> + Unpin + Send + 'static
{
    /// The account of the connection, for a service that keeps a message's data: the message itself
    /// is counted only until the body is dropped.
    fn account(&self) -> &Account;
}

/// tonic's router, for methods that are called rarely.
impl Service for Routes {
    fn respond<B: RequestBody>(&self, request: Request<B>) -> ResponseFuture {
        // Routes are always ready.
        let response = self.clone().call(request.map(Body::new));
        Box::pin(async move { response.await.map(with_common_codes) })
    }
}

/// One value for each call thread, made when a thread first needs it.
///
/// The lock is taken once for each connection, never by a call.
#[derive(Debug)]
pub struct PerThread<V>(Mutex<Vec<(ThreadId, V)>>);

impl<V> Default for PerThread<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone> PerThread<V> {
    /// The value of the calling thread.
    pub fn get_or_insert_with(&self, make: impl FnOnce() -> V) -> V {
        let this = thread::current().id();
        if let Some((_, value)) = self.0.lock().iter().find(|(thread, _)| *thread == this) {
            return value.clone();
        }
        // Made without the lock: only this thread can insert its own value.
        let value = make();
        self.0.lock().push((this, value.clone()));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_keeps_its_own_value() {
        let values = PerThread::default();
        let get = |new: u32| values.get_or_insert_with(|| new);
        assert_eq!((get(1), get(2)), (1, 1));
        let other = thread::scope(|scope| scope.spawn(|| (get(3), get(4))).join().unwrap());
        assert_eq!(other, (3, 3));
        assert_eq!(get(5), 1);
    }
}
