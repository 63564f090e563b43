package dev.twinsync.capture;

import dev.twinsync.record.Schema;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.camel.ProducerTemplate;
import org.springframework.stereotype.Component;

/** The keys of a system's table, by its flows {@code page-}, {@code list-} and {@code check-<system>-<entities>}. */
@Component
public class TableKeys {

    private final ProducerTemplate template;

    TableKeys(ProducerTemplate template) {
        this.template = template;
    }

    /** Keys after one, in the order of the table's index, which is not ours; fewer than the limit are the last. */
    public List<String> page(String system, Schema schema, String after, int limit) {
        return keys("page", system, schema, Map.of("after", after, "limit", limit));
    }

    /** Keys after one, in the order of their bytes, in which the table may have no index. */
    public List<String> list(String system, Schema schema, String after, int limit) {
        return keys("list", system, schema, Map.of("after", after, "limit", limit));
    }

    /** Of some keys, those that the table has. */
    public List<String> there(String system, Schema schema, Collection<String> ids) {
        return keys("check", system, schema, Map.of("ids", ids.toArray(String[]::new)));
    }

    private List<String> keys(String verb, String system, Schema schema, Map<String, Object> headers) {
        List<?> rows = template.requestBodyAndHeaders(
                "direct:" + verb + '-' + system + '-' + schema.plural(), null, headers, List.class);
        return rows.stream()
                .map(row -> String.valueOf(((Map<?, ?>) row).get("id")))
                .toList();
    }
}
