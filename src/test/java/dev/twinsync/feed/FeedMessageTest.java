package dev.twinsync.feed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.twinsync.capture.KeyColumns;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Messages as Debezium, Canal and DTS write them. */
class FeedMessageTest {

    private static final KeyColumns ORDERS = KeyColumns.of("public.orders.order_id, public.order_items.order_id");
    private final Set<String> ids = new LinkedHashSet<>();

    private String learn(String topic, String key, String value) {
        return FeedMessage.learn(ORDERS, topic, bytes(key), bytes(value), ids);
    }

    private static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void takesTheKeyFromAnEnvelopeWithoutSchema() {
        learn("app.public.orders", "{\"order_id\":\"1\"}", """
                {"before":null,"after":{"order_id":"1","status":"paid"},"source":{"connector":"postgresql","db":"app",
                 "schema":"public","table":"orders"},"op":"c","ts_ms":1}""");
        assertThat(ids).containsExactly("1");
    }

    @Test
    void takesTheKeyFromAnEnvelopeWithItsSchema() {
        learn("app.public.orders", "{\"schema\":{},\"payload\":{\"order_id\":\"2\"}}", """
                {"schema":{"type":"struct"},"payload":{"before":{"order_id":"2"},"after":null,
                 "source":{"schema":"public","table":"orders"},"op":"d"}}""");
        assertThat(ids).containsExactly("2");
    }

    @Test
    void takesBothKeysOfARowThatMoved() {
        learn("t", null, """
                {"before":{"order_id":"3","line_no":1},"after":{"order_id":"4","line_no":1},
                 "source":{"schema":"public","table":"order_items"},"op":"u"}""");
        assertThat(ids).containsExactly("3", "4");
    }

    @Test
    void takesTheKeyFromATombstone() {
        learn("app.public.order_items", "{\"order_id\":\"5\",\"line_no\":1}", null);
        learn("app.public.orders", "{\"schema\":{},\"payload\":{\"order_id\":\"6\"}}", null);
        assertThat(ids).containsExactly("5", "6");
    }

    @Test
    void takesAllRowsOfCanalsFlatMessageAndTheirFormerKeys() {
        learn("canal", null, """
                {"data":[{"order_id":"7","status":"paid"},{"order_id":"8"}],"database":"app","es":1,"id":1,"isDdl":false,
                 "mysqlType":{},"old":[{"status":"x"},{"order_id":"9"}],"pkNames":["order_id"],"sql":"","sqlType":{},
                 "table":"orders","ts":1,"type":"UPDATE"}""");
        assertThat(ids).containsExactly("7", "8", "9");
    }

    @Test
    void numbersAreKeysWithAllTheirDigits() {
        learn("canal", null, """
                {"data":[{"order_id":9007199254740993}],"table":"orders","type":"INSERT","old":null}""");
        assertThat(ids).containsExactly("9007199254740993");
    }

    @Test
    void sayWhatWasTruncated() {
        assertThat(learn("t", null, "{\"source\":{\"schema\":\"public\",\"table\":\"orders\"},\"op\":\"t\"}"))
                .contains("truncated");
        assertThat(learn("t", null, "{\"data\":null,\"table\":\"orders\",\"type\":\"TRUNCATE\",\"isDdl\":true}"))
                .contains("truncated");
    }

    @Test
    void whatConcernsOtherTablesOrTheFormOfATableTellsNothing() {
        learn("t", null, "{\"after\":{\"x\":1},\"source\":{\"schema\":\"public\",\"table\":\"others\"},\"op\":\"c\"}");
        learn("t", null, "{\"after\":{\"x\":1},\"source\":{\"schema\":\"old\",\"table\":\"orders\"},\"op\":\"c\"}");
        learn("t", null, "{\"data\":null,\"table\":\"orders\",\"type\":\"ALTER\",\"isDdl\":true,\"sql\":\"alter\"}");
        learn("app.public.others", "{\"id\":1}", null);
        assertThat(ids).isEmpty();
    }

    @Test
    void whatIsInNoKnownFormIsRefusedAndSaysWhatToSet() {
        assertThatThrownBy(() -> learn("t", null, "\u0000\u0001avro")).hasMessageContaining("JSON");
        assertThatThrownBy(() -> learn("t", null, "[1]")).hasMessageContaining("no JSON object");
        assertThatThrownBy(() -> learn("t", null, "{\"order_id\":\"1\"}")).hasMessageContaining("Debezium");
        assertThatThrownBy(() -> learn("app.public.orders", null, null)).hasMessageContaining("no key");
        assertThatThrownBy(() ->
                        learn("t", null, "{\"data\":[{\"order_id\":\"1\"}],\"table\":\"orders\",\"type\":\"ODD\"}"))
                .hasMessageContaining("ODD");
        assertThatThrownBy(() -> learn(
                        "t",
                        null,
                        "{\"after\":{\"id\":1},\"source\":{\"schema\":\"public\",\"table\":\"orders\"},\"op\":\"c\"}"))
                .hasMessageContaining("order_id");
    }
}
