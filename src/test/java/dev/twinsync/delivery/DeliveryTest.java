package dev.twinsync.delivery;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.twinsync.merge.Base;
import dev.twinsync.merge.Golden;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class DeliveryTest {

    private final Schema schema = Schemas.load(Path.of("routes")).of("user");

    private String body(List<String> paths) {
        Map<String, Golden.FieldState> fields = new LinkedHashMap<>();
        paths.forEach(path -> fields.put(
                path,
                new Golden.FieldState(
                        path.startsWith("notifications") ? IntNode.valueOf(path.length()) : TextNode.valueOf(path),
                        1,
                        "app",
                        Instant.EPOCH)));
        return Delivery.data(schema, new Golden("u", 1, fields), Base.unknown("mini"), new LinkedHashSet<>(paths))
                .toString();
    }

    @Test
    void whatIsSentOnceMoreUnderItsKeyIsTheSameTextInWhateverOrderItsFieldsCome() {
        List<String> paths = new ArrayList<>(
                List.of("phone", "notifications.order", "nickname", "language", "notifications.marketing"));
        String body = body(paths);
        assertThat(body).contains("phone", "marketing");
        Collections.reverse(paths);
        assertThat(body(paths)).isEqualTo(body);
        assertThat(body(List.copyOf(new TreeSet<>(paths)))).isEqualTo(body);
    }
}
