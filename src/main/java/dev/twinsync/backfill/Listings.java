package dev.twinsync.backfill;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.capture.Capture;
import dev.twinsync.capture.TableKeys;
import dev.twinsync.flow.CallFailed;
import dev.twinsync.merge.Ticks;
import dev.twinsync.record.Schema;
import dev.twinsync.state.Records;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.camel.CamelExecutionException;
import org.apache.camel.ProducerTemplate;
import org.springframework.stereotype.Component;

/** Lists a system's keys in the order of their bytes, by its flow {@code list-<system>-<entities>}. */
@Component
class Listings {

    /** The order in which every system lists: that of the bytes of the UTF-8 key. */
    static final Comparator<String> BYTES =
            (a, b) -> Arrays.compareUnsigned(a.getBytes(StandardCharsets.UTF_8), b.getBytes(StandardCharsets.UTF_8));

    /** Keys of a table listed at a time: in this order it has no index, and each listing reads all keys it has. */
    private static final int OF_TABLE = 50_000;

    private final ProducerTemplate template;
    private final Capture capture;
    private final TableKeys keys;
    private final Records records;

    Listings(ProducerTemplate template, Capture capture, TableKeys keys, Records records) {
        this.template = template;
        this.capture = capture;
        this.keys = keys;
        this.records = records;
    }

    /**
     * Keys after one key.
     *
     * @param items by key; of an API what it holds, of a table null
     * @param ticks of an API: when it was listed
     * @param more whether there are further keys after the last
     */
    record Listing(String after, TreeMap<String, JsonNode> items, Ticks ticks, boolean more) {
        String last() {
            return items.isEmpty() ? after : items.lastKey();
        }
    }

    /** The system has no listing. */
    static final class NoListing extends RuntimeException {
        NoListing(String system, Schema schema) {
            super(system + " can't list its " + schema.plural() + " (404)");
        }
    }

    /** @param limit of an API's page; a table's is as long as it may be */
    Listing list(String system, Schema schema, String after, int limit) {
        TreeMap<String, JsonNode> items = new TreeMap<>(BYTES);
        if (capture.isTable(system, schema)) {
            List<String> ids = keys.list(system, schema, after, OF_TABLE);
            ids.forEach(id -> items.put(id, null));
            return new Listing(after, items, null, ids.size() == OF_TABLE);
        }
        String flow = "direct:list-" + system + '-' + schema.plural();
        long began = records.tick();
        JsonNode page;
        try {
            page = template.requestBodyAndHeaders(
                    flow,
                    null,
                    Map.of(
                            "limit",
                            limit,
                            "after",
                            after.isEmpty() ? "" : "&after=" + URLEncoder.encode(after, StandardCharsets.UTF_8)),
                    JsonNode.class);
        } catch (CamelExecutionException e) {
            if (e.getCause() instanceof CallFailed call && call.status() == 404) {
                throw new NoListing(system, schema);
            }
            throw e;
        }
        if (page == null) {
            throw new NoListing(system, schema);
        }
        if (!page.path("items").isArray()) {
            throw new IllegalStateException("the answer of the listing of " + schema.plural() + " has no items");
        }
        page.path("items").forEach(item -> {
            String id = item.path("id").asText();
            if (schema.refuseId(id) == null) {
                items.put(id, item);
            }
        });
        boolean more = page.hasNonNull("next") && !page.path("items").isEmpty();
        return new Listing(after, items, new Ticks(began, records.tick()), more);
    }

    /** How many keys a table has, or null for an API. */
    Long count(String system, Schema schema) {
        if (!capture.isTable(system, schema)) {
            return null;
        }
        // in the order of its index
        long count = 0;
        String after = "";
        while (true) {
            List<String> page = keys.page(system, schema, after, OF_TABLE);
            count += page.size();
            if (page.size() < OF_TABLE) {
                return count;
            }
            after = page.get(OF_TABLE - 1);
        }
    }
}
