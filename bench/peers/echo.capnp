@0xd5f0c1b1a0e6b7c9;

struct Position {
  latitude @0 :Float64;
  longitude @1 :Float64;
  exact @2 :Bool;
}

struct Address {
  street @0 :Text;
  number @1 :Int64;
  country @2 :Text;
}

struct Event {
  at @0 :Int64;
  event @1 :Text;
}

struct Structure {
  id @0 :Int64;
  name @1 :Text;
  mail @2 :Text;
  city @3 :Text;
  active @4 :Bool;
  verified @5 :Bool;
  parent @6 :Text;
  score @7 :Float64;
  ratio @8 :Float64;
  created @9 :Int64;
  level @10 :Int64;
  visits @11 :Int64;
  comment @12 :Text;
  days @13 :List(Int64);
  tags @14 :List(Text);
  position @15 :Position;
  address @16 :Address;
  history @17 :List(Event);
  limits @18 :List(Float64);
  language @19 :Text;
}

interface Answerer {
  answer @0 (value :Text) -> (value :Text);
}

interface Echo {
  text @0 (value :Text) -> (value :Text);
  structure @1 (value :Structure) -> (value :Structure);
  integers @2 (value :List(Int64)) -> (value :List(Int64));
  blob @3 (value :Data) -> (value :Data);
  make @4 () -> (made :Answerer);
  ask @5 (target :Answerer) -> (value :Text);
}
