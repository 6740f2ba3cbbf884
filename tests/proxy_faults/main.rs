//! `PureProxy` in memory: what goes wrong around it at each step, and what must be true whatever happens.

mod keep;
mod kills;
mod manners;
mod smuggling;
mod table;
mod timers;
mod upstream;
mod world;
