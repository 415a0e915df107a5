struct Position {
    1: double latitude
    2: double longitude
    3: bool exact
}

struct Address {
    1: string street
    2: i64 number
    3: string country
}

struct Event {
    1: i64 at
    2: string event
}

struct Structure {
    1: i64 id
    2: string name
    3: string mail
    4: string city
    5: bool active
    6: bool verified
    7: optional string parent
    8: double score
    9: double ratio
    10: i64 created
    11: i64 level
    12: i64 visits
    13: string comment
    14: list<i64> days
    15: list<string> tags
    16: Position position
    17: Address address
    18: list<Event> history
    19: list<double> limits
    20: string language
}

service Echo {
    string text(1: string value)
    Structure structure(1: Structure value)
    list<i64> integers(1: list<i64> value)
    binary blob(1: binary value)
}
