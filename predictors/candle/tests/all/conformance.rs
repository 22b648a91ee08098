//! The properties of every backend, on networks of several depths and widths.

use hyperfake_predictor_candle::CandleBackend;
use hyperfake_predictor_testkit::{Conformance, ReferenceModel, reference::Network};

use crate::file::{File, Model};

#[test]
fn every_property_holds() {
    let deep: Vec<usize> = (1..12).collect();
    // The last has layers wide enough for a matrix product.
    for (seed, hidden) in
        [(1, &[37, 37][..]), (2, &[16]), (3, &[]), (4, &deep), (5, &[1]), (6, &[260, 260])]
    {
        let network = Network::sample(hidden, seed);
        let file = File::of(&Model::of(&network));
        let known =
            ReferenceModel::new(file.uri(), move |features| network.predict(features), 1e-4);
        Conformance::of(CandleBackend).model(known).run();
    }
}
