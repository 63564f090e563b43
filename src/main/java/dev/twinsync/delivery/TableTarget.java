package dev.twinsync.delivery;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.capture.Capture;
import dev.twinsync.flow.FailurePolicy;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Due;
import dev.twinsync.merge.Ticks;
import dev.twinsync.merge.Writes;
import dev.twinsync.record.Json;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Records;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.camel.ProducerTemplate;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;
import org.springframework.transaction.PlatformTransactionManager;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * A database: in one transaction the rows are locked, read with capture's own SQL and compared with what the base says;
 * what equals it is written and read back, what doesn't is observed instead.
 */
@Component
class TableTarget implements Target {

    private final ProducerTemplate template;
    private final Records records;
    private final Capture capture;
    private final FailurePolicy policy;
    private final JdbcTemplate app;
    private final TransactionTemplate transaction;

    TableTarget(
            ProducerTemplate template,
            Records records,
            Capture capture,
            @org.springframework.context.annotation.Lazy FailurePolicy policy,
            @Qualifier("appPool") javax.sql.DataSource app,
            @Qualifier("appTransactions") PlatformTransactionManager transactions) {
        this.template = template;
        this.records = records;
        this.capture = capture;
        this.policy = policy;
        this.app = new JdbcTemplate(app);
        this.transaction = new TransactionTemplate(transactions);
    }

    @Override
    public int setSize() {
        return 500;
    }

    private record Row(boolean exists, Schema.Normalised normalised, Set<String> unusable, String position) {}

    @Override
    public List<Result> write(String system, Schema schema, List<Item> items, Long since) {
        List<Result> results = new ArrayList<>(halving(system, schema, items));
        for (int attempt = 1; ; attempt++) {
            List<Integer> locked = new ArrayList<>();
            for (int i = 0; i < items.size(); i++) {
                if (results.get(i) instanceof Result.Failed failed && failed.cause() instanceof Locked) {
                    locked.add(i);
                }
            }
            // most locks last as long as a transaction of the app: a moment
            Duration pause = locked.isEmpty() ? null : policy.pauseAfter(attempt, null);
            if (pause == null) {
                return results;
            }
            policy.pause(pause);
            List<Result> again =
                    halving(system, schema, locked.stream().map(items::get).toList());
            for (int i = 0; i < again.size(); i++) {
                results.set(locked.get(i), again.get(i));
            }
        }
    }

    private List<Result> halving(String system, Schema schema, List<Item> items) {
        try {
            return set(system, schema, items);
        } catch (RuntimeException e) {
            boolean permanent = policy.kind(e) == FailurePolicy.Kind.PERMANENT;
            if (!permanent && !policy.mayBeOneRecords(e)) {
                throw e;
            }
            if (items.size() == 1) {
                return List.of(permanent ? new Result.Refused(e) : new Result.Failed(e));
            }
            // failed as a whole: halved until what is bad stands alone, and holds up no other
            List<Result> results = new ArrayList<>(halving(system, schema, items.subList(0, items.size() / 2)));
            results.addAll(halving(system, schema, items.subList(items.size() / 2, items.size())));
            return results;
        }
    }

    /** Somebody else's transaction has the row. */
    private static final class Locked extends IllegalStateException {
        private static final long serialVersionUID = 1;

        Locked(String id) {
            super(id + " is locked by a transaction of the system's own that lasts");
        }
    }

    private List<Result> set(String system, Schema schema, List<Item> items) {
        List<String> ids = items.stream().map(Item::id).toList();
        String suffix = system + '-' + schema.plural();
        long began = records.tick();
        Map<String, Row> before = new HashMap<>();
        Map<String, Row> after = new HashMap<>();
        Set<String> locked = new HashSet<>();
        transaction.executeWithoutResult(status -> {
            app.execute("set local lock_timeout = '5s'");
            rows("direct:lock-" + suffix, ids).forEach(row -> locked.add(String.valueOf(((Map<?, ?>) row).get("id"))));
            List<?> there = rows("direct:read-" + suffix, ids);
            before.putAll(read(schema, there));
            ArrayNode writes = Json.MAPPER.createArrayNode();
            List<String> written = new ArrayList<>();
            for (Item item : items) {
                if (!passedOver(item, before, locked) && matches(item, before.get(item.id()))) {
                    ObjectNode row = writes.addObject();
                    row.put("id", item.id());
                    row.put("insert", item.makes());
                    row.set("data", item.data());
                    written.add(item.id());
                }
            }
            if (!written.isEmpty()) {
                template.requestBodyAndHeader("direct:write-" + suffix, null, "rows", Json.text(writes));
                after.putAll(read(schema, rows("direct:read-" + suffix, written)));
            }
        });
        Ticks ticks = new Ticks(began, records.tick());
        List<Result> results = new ArrayList<>();
        List<String> differing = new ArrayList<>();
        for (Item item : items) {
            Row now = after.get(item.id());
            if (passedOver(item, before, locked)) {
                results.add(new Result.Failed(new Locked(item.id())));
            } else if (now == null) {
                differing.add(item.id());
                results.add(new Result.Differs(true));
            } else {
                results.add(new Result.Written(Writes.answered(
                        item.base(),
                        item.values(),
                        now.normalised().values(),
                        // the reading that follows tells that a field can be used again, and ends its letter
                        union(item.base().unusable(), now.unusable()),
                        now.position(),
                        ticks,
                        item.version())));
            }
        }
        if (!differing.isEmpty()) {
            // what stands there is news: read outside the transaction, so that what is observed is what is committed
            capture.readNow(system, schema.entity(), differing);
        }
        return results;
    }

    /** The lock passes over a row that another transaction has: it is there, and not locked. */
    private static boolean passedOver(Item item, Map<String, Row> before, Set<String> locked) {
        return before.containsKey(item.id()) && !locked.contains(item.id());
    }

    private static boolean matches(Item item, Row row) {
        if (item.makes()) {
            return row == null;
        }
        if (row == null) {
            return false;
        }
        Base base = item.base();
        if (!row.unusable().equals(base.unusable())) {
            // a field that can be read again is an edit, which a write would take for something known
            return false;
        }
        Set<String> paths = new HashSet<>(row.normalised().values().keySet());
        paths.addAll(base.held().keySet());
        for (String path : paths) {
            JsonNode held = base.held().get(path);
            if (!row.unusable().contains(Due.name(path))
                    && !Due.same(row.normalised().values().get(path), held)) {
                return false;
            }
        }
        return true;
    }

    private static Set<String> union(Set<String> some, Set<String> others) {
        Set<String> all = new HashSet<>(some);
        all.addAll(others);
        return all;
    }

    private List<?> rows(String flow, List<String> ids) {
        return template.requestBodyAndHeader(flow, null, "ids", ids.toArray(String[]::new), List.class);
    }

    private static Map<String, Row> read(Schema schema, List<?> rows) {
        Map<String, Row> read = new TreeMap<>();
        for (Object row : rows) {
            Map<?, ?> columns = (Map<?, ?>) row;
            Schema.Normalised normalised = schema.normalise(
                    (ObjectNode) Json.tolerant(((String) columns.get("data")).getBytes(StandardCharsets.UTF_8)), true);
            Set<String> unusable = new HashSet<>();
            normalised.problems().forEach(problem -> unusable.add(problem.field()));
            read.put(String.valueOf(columns.get("id")), new Row(true, normalised, unusable, (String)
                    columns.get("position")));
        }
        return read;
    }
}
