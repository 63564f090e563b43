package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schemas;
import java.sql.Array;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.dao.DataIntegrityViolationException;
import org.springframework.jdbc.core.ConnectionCallback;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * The table of letters: what arrives becomes the one open letter of its record at its system, and what got through ends
 * it. A letter's end and the end of the retry that it is in are one statement, so that no retry waits for ever. Letters
 * are locked in the order of their ids.
 */
@Component
class LetterStore {

    /** Header of a message that an operator had sent again and that failed again: the letter that it is of. */
    static final String FAILED_AGAIN = "sync-failed-again";

    private static final Logger LOG = LoggerFactory.getLogger(LetterStore.class);

    private static final String END = """
            , ended as (
              update dead_letter d set
                state = case when l.state = 'retrying' then 'resolved' else 'superseded' end, closed_at = clock_timestamp()
              from locked l where d.id = l.id returning d.id)
            update retry_item i set ended_at = clock_timestamp(),
              state = case when i.state = 'pending' then 'skipped' else 'succeeded' end,
              note = case when i.state = 'pending' then 'superseded' end
            from ended where i.letter = ended.id and i.state in ('pending', 'taken', 'sent')""";

    private final JdbcTemplate jdbc;
    private final TransactionTemplate transaction;
    private final Schemas schemas;

    LetterStore(JdbcTemplate jdbc, TransactionTemplate transaction, Schemas schemas) {
        this.jdbc = jdbc;
        this.transaction = transaction;
        this.schemas = schemas;
    }

    record Key(String entity, String id, String system, String slot) {}

    /** A letter as its topic gave it; nothing in it that PostgreSQL can't hold. */
    record Arrived(
            String eventId,
            Key key,
            String route,
            String step,
            Long version,
            ObjectNode error,
            int attempts,
            Instant at,
            byte[] message,
            Map<String, String> headers,
            JsonNode request,
            JsonNode systems,
            Long failedAgain,
            String group) {

        /** @throws IllegalArgumentException or DateTimeException where the letter can't be read */
        static Arrived of(JsonNode json, byte[] message, Map<String, String> given) {
            JsonNode letter = clean(json);
            Map<String, String> headers = new TreeMap<>();
            given.forEach((name, value) -> headers.put(clean(name), clean(value)));
            ObjectNode error = Json.MAPPER.createObjectNode();
            for (String name : List.of("class", "code", "status", "message")) {
                error.set(name, letter.get(name));
            }
            // a neighbour's word: where it is no name of a field, it is in the message at best
            if (letter.path("field").asText("").matches("[A-Za-z_][\\w.-]{0,99}")) {
                error.set("field", letter.get("field"));
            }
            for (String name : List.of("event_id", "entity", "id", "system", "route", "at")) {
                if (!letter.path(name).isTextual()) {
                    throw new IllegalArgumentException(name + ": a letter has one");
                }
            }
            String again = headers.remove(FAILED_AGAIN);
            String group = headers.get("sync-failure-group");
            return new Arrived(
                    letter.path("event_id").asText(),
                    new Key(
                            letter.path("entity").asText(),
                            letter.path("id").asText(),
                            letter.path("system").asText(),
                            letter.path("slot").asText("")),
                    letter.path("route").asText(),
                    letter.path("step").asText(null),
                    letter.path("version").isNumber() ? letter.path("version").asLong() : null,
                    error,
                    letter.path("attempts").asInt(1),
                    Instant.parse(letter.path("at").asText()),
                    message,
                    headers,
                    letter.get("request"),
                    letter.get("systems"),
                    again != null && again.matches("\\d{1,18}") ? Long.valueOf(again) : null,
                    group != null
                            ? group
                            : Letter.group(
                                    error.path("class").asText("-"),
                                    error.path("code").asText(null),
                                    error.path("status").isNumber()
                                            ? error.path("status").asInt()
                                            : null,
                                    letter.path("route").asText(),
                                    letter.path("step").asText(null),
                                    error.path("message").asText(""),
                                    letter.path("id").asText()));
        }
    }

    /** PostgreSQL keeps no U+0000 in a text: its picture stands for it. The original bytes are kept as they are. */
    private static String clean(String text) {
        return text == null ? null : text.replace('\0', '\u2400');
    }

    private static JsonNode clean(JsonNode node) {
        if (node instanceof ObjectNode object) {
            ObjectNode clean = Json.MAPPER.createObjectNode();
            object.properties().forEach(member -> clean.set(clean(member.getKey()), clean(member.getValue())));
            return clean;
        }
        if (node instanceof ArrayNode array) {
            ArrayNode clean = Json.MAPPER.createArrayNode();
            array.forEach(item -> clean.add(clean(item)));
            return clean;
        }
        return node.isTextual() ? TextNode.valueOf(clean(node.asText())) : node;
    }

    /**
     * Stores letters in order, those that are stored already once; all of them or, by the exception, none.
     *
     * @return those that are new: not what is known already, nor what has failed again
     */
    List<Arrived> store(List<Arrived> letters) {
        try {
            return write(letters);
        } catch (DataIntegrityViolationException e) {
            // another instance was faster with one of them, or one can't be held: each for itself
            List<Arrived> made = new ArrayList<>();
            for (Arrived letter : letters) {
                try {
                    made.addAll(write(List.of(letter)));
                } catch (DataIntegrityViolationException lone) {
                    made.addAll(write(List.of(letter)));
                }
            }
            return made;
        }
    }

    private List<Arrived> write(List<Arrived> letters) {
        return transaction.execute(status -> {
            List<Arrived> made = new ArrayList<>();
            Set<String> known = new HashSet<>(strings(
                    "select event_id from dead_letter_attempt where event_id = any (?)",
                    letters.stream().map(Arrived::eventId).toList()));
            Map<String, Arrived> fresh = new LinkedHashMap<>();
            letters.stream()
                    .filter(letter -> !known.contains(letter.eventId()))
                    .forEach(letter -> fresh.putIfAbsent(letter.eventId(), letter));
            List<Arrived> open = new ArrayList<>(fresh.values());
            while (!open.isEmpty()) {
                // of one record and system one after the other, of different ones together
                Map<Key, Arrived> round = new LinkedHashMap<>();
                List<Arrived> later = new ArrayList<>();
                for (Arrived letter : open) {
                    if (round.putIfAbsent(letter.key(), letter) != null) {
                        later.add(letter);
                    }
                }
                made.addAll(jdbc.execute((ConnectionCallback<List<Arrived>>)
                        connection -> round(connection, List.copyOf(round.values()))));
                open = later;
            }
            return made;
        });
    }

    private List<String> strings(String sql, Collection<String> values) {
        return jdbc.query(
                connection -> {
                    PreparedStatement statement = connection.prepareStatement(sql);
                    statement.setArray(1, connection.createArrayOf("text", values.toArray()));
                    return statement;
                },
                (row, n) -> row.getString(1));
    }

    private record Former(long id, Long version) {}

    private List<Arrived> round(Connection connection, List<Arrived> letters) throws SQLException {
        Map<Key, Former> formers = formers(connection, letters);
        Map<Long, Former> byId = new HashMap<>();
        formers.values().forEach(former -> byId.put(former.id(), former));
        Map<Arrived, Long> again = new LinkedHashMap<>();
        Map<Arrived, Former> replaced = new LinkedHashMap<>();
        List<Arrived> made = new ArrayList<>();
        for (Arrived letter : letters) {
            Former former = letter.failedAgain() != null && byId.containsKey(letter.failedAgain())
                    ? byId.get(letter.failedAgain())
                    : formers.get(letter.key());
            if (former != null && (letter.version() == null || letter.version().equals(former.version()))) {
                again.put(letter, former.id());
            } else {
                made.add(letter);
                if (former != null) {
                    replaced.put(letter, former);
                }
            }
        }
        again(connection, again);
        end(connection, replaced.values().stream().map(Former::id).toList());
        Map<String, Long> ids = insert(connection, made);
        link(connection, replaced, ids);
        Map<Arrived, Long> all = new LinkedHashMap<>(again);
        made.forEach(letter -> all.put(letter, ids.get(letter.eventId())));
        attempts(connection, all);
        groups(connection, letters);
        history(connection, letters);
        return made;
    }

    private static Map<Key, Former> formers(Connection connection, List<Arrived> letters) throws SQLException {
        Map<Key, Former> formers = new HashMap<>();
        try (PreparedStatement select = connection.prepareStatement("""
                select id, entity, record_id, system, slot, version from dead_letter
                where (entity, record_id, system, slot) in (select * from unnest(?::text[], ?::text[], ?::text[], ?::text[]))
                  and state in ('open', 'retrying')
                  or id = any (?) and state = 'retrying'
                order by id for update""")) {
            select.setArray(
                    1, texts(connection, letters.stream().map(l -> l.key().entity())));
            select.setArray(
                    2, texts(connection, letters.stream().map(l -> l.key().id())));
            select.setArray(
                    3, texts(connection, letters.stream().map(l -> l.key().system())));
            select.setArray(
                    4, texts(connection, letters.stream().map(l -> l.key().slot())));
            select.setArray(
                    5,
                    connection.createArrayOf(
                            "bigint",
                            letters.stream()
                                    .map(Arrived::failedAgain)
                                    .filter(java.util.Objects::nonNull)
                                    .toArray()));
            try (ResultSet row = select.executeQuery()) {
                while (row.next()) {
                    long version = row.getLong("version");
                    boolean none = row.wasNull();
                    formers.put(
                            new Key(row.getString(2), row.getString(3), row.getString(4), row.getString(5)),
                            new Former(row.getLong("id"), none ? null : version));
                }
            }
        }
        return formers;
    }

    /** Failed again: the letter stays the same, with one attempt more. */
    private static void again(Connection connection, Map<Arrived, Long> letters) throws SQLException {
        if (letters.isEmpty()) {
            return;
        }
        try (PreparedStatement update = connection.prepareStatement("""
                with failed as (
                  update dead_letter d set state = 'open', attempts = d.attempts + u.attempts, last_failed_at = u.at,
                    error = u.error::jsonb, failure_group = u.failure_group, headers = u.headers::jsonb,
                    -- of a message that was mended and failed again, the original stays
                    message = case when d.slot like 'message@%' or d.slot like 'unknown@%' then d.message else u.message end,
                    request = u.request::jsonb, systems = u.systems::jsonb
                  from unnest(?::bigint[], ?::int[], ?::timestamptz[], ?::text[], ?::text[], ?::bytea[], ?::text[], ?::text[],
                    ?::text[]) as u (id, attempts, at, error, failure_group, message, headers, request, systems)
                  where d.id = u.id returning d.id)
                update retry_item i set state = 'failed_again', ended_at = clock_timestamp()
                from failed where i.letter = failed.id and i.state in ('taken', 'sent')""")) {
            update.setArray(
                    1, connection.createArrayOf("bigint", letters.values().toArray()));
            columns(connection, update, 2, letters.keySet());
            update.executeUpdate();
        }
    }

    private static void columns(Connection connection, PreparedStatement s, int first, Collection<Arrived> letters)
            throws SQLException {
        int at = first;
        s.setArray(
                at++,
                connection.createArrayOf(
                        "int", letters.stream().map(Arrived::attempts).toArray()));
        s.setArray(
                at++,
                connection.createArrayOf(
                        "timestamptz",
                        letters.stream().map(l -> Timestamp.from(l.at())).toArray()));
        s.setArray(at++, texts(connection, letters.stream().map(l -> Json.text(l.error()))));
        s.setArray(at++, texts(connection, letters.stream().map(Arrived::group)));
        s.setArray(
                at++,
                connection.createArrayOf(
                        "bytea", letters.stream().map(Arrived::message).toArray(byte[][]::new)));
        s.setArray(at++, texts(connection, letters.stream().map(l -> Json.text(l.headers()))));
        s.setArray(at++, texts(connection, letters.stream().map(l -> json(l.request()))));
        s.setArray(at, texts(connection, letters.stream().map(l -> json(l.systems()))));
    }

    /** A later version was refused: its letter takes the place of the former. */
    private static void end(Connection connection, List<Long> letters) throws SQLException {
        if (letters.isEmpty()) {
            return;
        }
        try (PreparedStatement update = connection.prepareStatement("""
                with ended as (
                  update dead_letter set state = 'superseded', closed_at = clock_timestamp() where id = any (?) returning id)
                update retry_item i set ended_at = clock_timestamp(),
                  state = case when i.state = 'pending' then 'skipped' else 'failed_again' end,
                  note = case when i.state = 'pending' then 'superseded' else 'a newer version was refused' end
                from ended where i.letter = ended.id and i.state in ('pending', 'taken', 'sent')""")) {
            update.setArray(1, connection.createArrayOf("bigint", letters.toArray()));
            update.executeUpdate();
        }
    }

    private Map<String, Long> insert(Connection connection, List<Arrived> letters) throws SQLException {
        Map<String, Long> ids = new HashMap<>();
        if (letters.isEmpty()) {
            return ids;
        }
        // a letter that comes after its version has got through is history at once
        try (PreparedStatement insert = connection.prepareStatement("""
                insert into dead_letter (event_id, state, closed_at, entity, record_id, system, slot, route, step, file,
                  failure_group, version, error, attempts, first_failed_at, last_failed_at, message, headers, request, systems)
                select u.event_id, case when passed then 'superseded' else 'open' end,
                  case when passed then clock_timestamp() end, u.entity, u.record_id, u.system, u.slot, u.route, u.step, u.file,
                  u.failure_group, u.version, u.error::jsonb, u.attempts, u.at, u.at, u.message, u.headers::jsonb,
                  u.request::jsonb, u.systems::jsonb
                from unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[],
                  ?::int[], ?::timestamptz[], ?::text[], ?::text[], ?::bytea[], ?::text[], ?::text[], ?::text[])
                  with ordinality as u (event_id, entity, record_id, system, slot, route, step, file, version, attempts, at, error,
                    failure_group, message, headers, request, systems, n)
                cross join lateral (select u.slot = '' and exists (select from base b
                  where b.entity = u.entity and b.id = u.record_id and b.system = u.system and b.seen >= u.version) as passed) p
                order by u.n
                returning id, event_id""")) {
            insert.setArray(1, texts(connection, letters.stream().map(Arrived::eventId)));
            insert.setArray(
                    2, texts(connection, letters.stream().map(l -> l.key().entity())));
            insert.setArray(
                    3, texts(connection, letters.stream().map(l -> l.key().id())));
            insert.setArray(
                    4, texts(connection, letters.stream().map(l -> l.key().system())));
            insert.setArray(
                    5, texts(connection, letters.stream().map(l -> l.key().slot())));
            insert.setArray(6, texts(connection, letters.stream().map(Arrived::route)));
            insert.setArray(7, texts(connection, letters.stream().map(Arrived::step)));
            insert.setArray(8, texts(connection, letters.stream().map(this::file)));
            insert.setArray(
                    9,
                    connection.createArrayOf(
                            "bigint", letters.stream().map(Arrived::version).toArray()));
            columns(connection, insert, 10, letters);
            try (ResultSet row = insert.executeQuery()) {
                while (row.next()) {
                    ids.put(row.getString(2), row.getLong(1));
                }
            }
        }
        return ids;
    }

    private String file(Arrived letter) {
        String entity = letter.key().entity();
        return schemas.has(entity) && !letter.route().equals("-")
                ? schemas.of(entity).plural() + '/' + letter.route() + ".camel.yaml"
                : null;
    }

    private static void link(Connection connection, Map<Arrived, Former> replaced, Map<String, Long> ids)
            throws SQLException {
        if (replaced.isEmpty()) {
            return;
        }
        try (PreparedStatement update = connection.prepareStatement("""
                update dead_letter d set superseded_by = u.newer from unnest(?::bigint[], ?::bigint[]) as u (id, newer)
                where d.id = u.id""")) {
            update.setArray(
                    1,
                    connection.createArrayOf(
                            "bigint", replaced.values().stream().map(Former::id).toArray()));
            update.setArray(
                    2,
                    connection.createArrayOf(
                            "bigint",
                            replaced.keySet().stream()
                                    .map(l -> ids.get(l.eventId()))
                                    .toArray()));
            update.executeUpdate();
        }
    }

    private static void attempts(Connection connection, Map<Arrived, Long> letters) throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("""
                insert into dead_letter_attempt (event_id, letter, at, version, error)
                select u.event_id, u.letter, u.at, u.version, u.error::jsonb
                from unnest(?::text[], ?::bigint[], ?::timestamptz[], ?::bigint[], ?::text[])
                  as u (event_id, letter, at, version, error)""")) {
            insert.setArray(1, texts(connection, letters.keySet().stream().map(Arrived::eventId)));
            insert.setArray(
                    2, connection.createArrayOf("bigint", letters.values().toArray()));
            insert.setArray(
                    3,
                    connection.createArrayOf(
                            "timestamptz",
                            letters.keySet().stream()
                                    .map(l -> Timestamp.from(l.at()))
                                    .toArray()));
            insert.setArray(
                    4,
                    connection.createArrayOf(
                            "bigint",
                            letters.keySet().stream().map(Arrived::version).toArray()));
            insert.setArray(5, texts(connection, letters.keySet().stream().map(l -> Json.text(l.error()))));
            insert.executeUpdate();
        }
    }

    /** A cause that was said to be fixed and comes again is new again; its note stays. */
    private static void groups(Connection connection, List<Arrived> letters) throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("""
                insert into letter_group as g (id, entity, system, route, step, error, first_seen, last_seen, arrivals)
                select u.id, min(u.entity), min(u.system), min(u.route), min(u.step),
                  (array_agg(u.error order by u.at desc))[1]::jsonb, min(u.at), max(u.at), count(*)
                from unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::timestamptz[])
                  as u (id, entity, system, route, step, error, at)
                group by u.id order by u.id
                on conflict (id) do update set last_seen = greatest(g.last_seen, excluded.last_seen), error = excluded.error,
                  arrivals = g.arrivals + excluded.arrivals,
                  changed_at = case when g.state = 'fixed' then clock_timestamp() else g.changed_at end,
                  state = case when g.state = 'fixed' then 'new' else g.state end""")) {
            insert.setArray(1, texts(connection, letters.stream().map(Arrived::group)));
            insert.setArray(
                    2, texts(connection, letters.stream().map(l -> l.key().entity())));
            insert.setArray(
                    3, texts(connection, letters.stream().map(l -> l.key().system())));
            insert.setArray(4, texts(connection, letters.stream().map(Arrived::route)));
            insert.setArray(5, texts(connection, letters.stream().map(Arrived::step)));
            insert.setArray(6, texts(connection, letters.stream().map(l -> Json.text(l.error()))));
            insert.setArray(
                    7,
                    connection.createArrayOf(
                            "timestamptz",
                            letters.stream().map(l -> Timestamp.from(l.at())).toArray()));
            insert.executeUpdate();
        }
    }

    private static void history(Connection connection, List<Arrived> letters) throws SQLException {
        try (PreparedStatement insert = connection.prepareStatement("""
                insert into history (entity, id, kind, system, version, note)
                select u.entity, u.id, 'dead_letter', u.system, u.version, u.note
                from unnest(?::text[], ?::text[], ?::text[], ?::bigint[], ?::text[]) as u (entity, id, system, version, note)""")) {
            insert.setArray(
                    1, texts(connection, letters.stream().map(l -> l.key().entity())));
            insert.setArray(
                    2, texts(connection, letters.stream().map(l -> l.key().id())));
            insert.setArray(
                    3, texts(connection, letters.stream().map(l -> l.key().system())));
            insert.setArray(
                    4,
                    connection.createArrayOf(
                            "bigint", letters.stream().map(Arrived::version).toArray()));
            insert.setArray(5, texts(connection, letters.stream().map(l -> switch (Letter.kind(
                    l.key().slot())) {
                case DELIVERY -> "the delivery was refused";
                case FIELD -> l.key().slot() + " can't be used";
                case MESSAGE, UNKNOWN -> "a message can't be worked";
            })));
            insert.executeUpdate();
        }
    }

    /** Deliveries got through: a letter being retried is resolved, one of an older version superseded. */
    void closed(String entity, String system, Collection<String> ids) {
        if (ids.isEmpty()) {
            return;
        }
        jdbc.update(connection -> {
            PreparedStatement update = connection.prepareStatement("""
                    with locked as (
                      select id, state from dead_letter
                      where entity = ? and system = ? and slot = '' and record_id = any (?) and state in ('open', 'retrying')
                      order by id for update)""" + END);
            update.setString(1, entity);
            update.setString(2, system);
            update.setArray(3, connection.createArrayOf("text", ids.toArray()));
            return update;
        });
    }

    /** Fields are usable again. */
    void mended(String entity, String id, String system, Collection<String> fields) {
        if (fields.isEmpty()) {
            return;
        }
        jdbc.update(connection -> {
            PreparedStatement update = connection.prepareStatement("""
                    with locked as (
                      select id, state from dead_letter
                      where entity = ? and record_id = ? and system = ? and slot = any (?) and state in ('open', 'retrying')
                      order by id for update)""" + END);
            update.setString(1, entity);
            update.setString(2, id);
            update.setString(3, system);
            update.setArray(4, connection.createArrayOf("text", fields.toArray()));
            return update;
        });
    }

    /** The fields of a record at a system whose letters are being retried. */
    Set<String> retried(String entity, String id, String system, Collection<String> fields) {
        return new LinkedHashSet<>(jdbc.query(
                connection -> {
                    PreparedStatement select = connection.prepareStatement("""
                            select slot from dead_letter
                            where entity = ? and record_id = ? and system = ? and slot = any (?) and state = 'retrying'""");
                    select.setString(1, entity);
                    select.setString(2, id);
                    select.setString(3, system);
                    select.setArray(4, connection.createArrayOf("text", fields.toArray()));
                    return select;
                },
                (row, n) -> row.getString(1)));
    }

    /** Messages that were sent again have been worked. */
    void worked(Collection<Long> letters) {
        int ended = jdbc.update(connection -> {
            PreparedStatement update = connection.prepareStatement("""
                    with locked as (
                      select id, state from dead_letter
                      where id = any (?) and (slot like 'message@%' or slot like 'unknown@%') and state = 'retrying'
                      order by id for update)""" + END);
            update.setArray(1, connection.createArrayOf("bigint", letters.toArray()));
            return update;
        });
        if (ended > 0) {
            LOG.info("{} messages that were sent again have been worked", ended);
        }
    }

    private static Array texts(Connection connection, java.util.stream.Stream<String> values) throws SQLException {
        return connection.createArrayOf("text", values.toArray());
    }

    private static String json(JsonNode node) {
        return node == null || node.isNull() ? null : Json.text(node);
    }
}
