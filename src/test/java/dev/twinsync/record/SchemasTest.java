package dev.twinsync.record;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SchemasTest {

    private static final Schemas SCHEMAS = Schemas.load(Path.of("routes"));
    private static final Schema USER = SCHEMAS.of("user");
    private static final Schema ORDER = SCHEMAS.of("order");

    private static Schema.Normalised push(Schema schema, String json) {
        return schema.normalise((ObjectNode) Json.read(json), false);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    {"phone":"13800138000"}                       | phone          | "+8613800138000"
                    {"phone":"013800138000"}                      | phone          | "+8613800138000"
                    {"phone":"1795113800138000"}                  | phone          | "+8613800138000"
                    {"phone":"+86 138-0013-8000"}                 | phone          | "+8613800138000"
                    {"nickname":"  Zoe\\u0301 "}                  | nickname       | "Zoé"
                    {"language":"zh-cn"}                          | language       | "zh-CN"
                    {"notifications":{"order":true}}              | notifications.order | true
                    {"notifications":{"sms":false}}               | notifications.sms | false""")
    void aUserIsPutIntoNormalForm(String json, String path, String expected) {
        Schema.Normalised normalised = push(USER, json);
        assertThat(normalised.problems()).isEmpty();
        assertThat(Json.text(normalised.values().get(path))).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    {"status":"已支付"}                              | status         | "paid"
                    {"payment_amount":250}                         | payment_amount | 250.00
                    {"payment_amount":199.99}                      | payment_amount | 199.99
                    {"payment_amount":-0.0}                        | payment_amount | 0.00
                    {"shipping_info":{"carrier":"顺丰速运"}}           | shipping_info  | {"carrier":"SF"}
                    {"shipping_info":{"carrier":"别家"}}              | shipping_info  | {"carrier":"别家"}
                    {"currency":"cny"}                             | currency       | "CNY"
                    {"paid_at":"2026-01-31T08:00:00.1234567+08:00"} | paid_at       | "2026-01-31T00:00:00.123456Z"
                    {"items":[{"line_no":2,"sku":"b","title":"B","quantity":1,"unit_price":1},{"line_no":1,"sku":"a","title":"A","quantity":1,"unit_price":2.5}]} | items | [{"line_no":1,"quantity":1,"sku":"a","title":"A","unit_price":2.50},{"line_no":2,"quantity":1,"sku":"b","title":"B","unit_price":1.00}]""")
    void anOrderIsPutIntoNormalForm(String json, String path, String expected) {
        Schema.Normalised normalised = push(ORDER, json);
        assertThat(normalised.problems()).isEmpty();
        assertThat(Json.text(normalised.values().get(path))).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    user  | {"phone":"12345"}                     | /phone
                    user  | {"phone":13800138000}                 | /phone
                    user  | {"phone":"02112345678"}               | /phone
                    user  | {"nickname":7}                        | /nickname
                    user  | {"nickname":"a\\u0000b"}              | /nickname
                    user  | {"nickname":"a\\ud800b"}              | /nickname
                    user  | {"avatar":"javascript:alert(1)"}      | /avatar
                    user  | {"avatar":"/a.jpg"}                   | /avatar
                    user  | {"language":"not a language"}         | /language
                    user  | {"notifications":{"order":"yes"}}     | /notifications/order
                    user  | {"notifications":true}                | /notifications
                    user  | {"deleted":"true"}                    | /deleted
                    user  | {"nick":"a"}                          | /nick
                    order | {"payment_amount":"1.00"}             | /payment_amount
                    order | {"payment_amount":1.001}              | /payment_amount
                    order | {"payment_amount":-1}                 | /payment_amount
                    order | {"payment_amount":1e400}              | /payment_amount
                    order | {"payment_amount":10000000000}        | /payment_amount
                    order | {"paid_at":"2026-01-31T08:00:00"}     | /paid_at
                    order | {"paid_at":"2026-13-31T08:00:00Z"}    | /paid_at
                    order | {"status":"lost"}                     | /status
                    order | {"currency":"XQX"}                    | /currency
                    order | {"items":[{"line_no":1,"sku":"a","title":"A","quantity":0,"unit_price":1}]} | /items/0/quantity
                    order | {"items":[{"line_no":1,"sku":"a","title":"A","quantity":1.5,"unit_price":1}]} | /items/0/quantity
                    order | {"items":[{"line_no":1,"sku":"a","quantity":1,"unit_price":1}]} | /items/0/title
                    order | {"items":[{"line_no":1,"sku":"a","title":"A","quantity":1,"unit_price":1},{"line_no":1,"sku":"a","title":"A","quantity":1,"unit_price":1}]} | /items/1/line_no
                    order | {"shipping_info":{"courier":"SF"}}    | /shipping_info/courier""")
    void whatCannotBeUsedIsNamed(String entity, String json, String pointer) {
        assertThat(push(SCHEMAS.of(entity), json).problems())
                .extracting(Schema.Problem::pointer)
                .containsExactly(pointer);
    }

    @Test
    void aReadingPassesOverWhatItDoesNotKnowAndDropsNulls() {
        Schema.Normalised read =
                USER.normalise((ObjectNode) Json.read("{\"nickname\":null,\"karma\":3,\"phone\":\"x\"}"), true);
        assertThat(read.values()).isEmpty();
        assertThat(read.problems()).extracting(Schema.Problem::field).containsExactly("phone");
    }

    @Test
    void anArrayWithoutElementsIsNone() {
        assertThat(push(ORDER, "{\"items\":[]}").values())
                .containsEntry("items", com.fasterxml.jackson.databind.node.NullNode.getInstance());
        assertThat(ORDER.normalise((ObjectNode) Json.read("{\"items\":[]}"), true)
                        .values())
                .isEmpty();
    }

    @Test
    void theTableOfStatusesLeadsWhereTheContractSays() {
        StatusFlow flow = ORDER.field("status").flow();
        assertThat(flow.leads("pending_payment", "delivered")).isTrue();
        assertThat(flow.leads("paid", "refunded")).isTrue();
        assertThat(flow.leads("cancelled", "paid")).isFalse();
        assertThat(flow.leads("shipped", "paid")).isFalse();
        assertThat(flow.reopens("refunding", "shipped")).isTrue();
        assertThat(flow.reopens("refunding", "cancelled")).isFalse();
        assertThat(flow.ranks())
                .containsExactly(
                        "pending_payment",
                        "cancelled",
                        "paid",
                        "shipped",
                        "delivered",
                        "completed",
                        "refunding",
                        "refunded");
    }

    @Test
    void aPartialObjectIsLaidOverTheOneBefore() {
        JsonNode before = Json.read("{\"carrier\":\"SF\",\"tracking_number\":\"1\"}");
        JsonNode stated = push(ORDER, "{\"shipping_info\":{\"tracking_number\":null,\"carrier\":\"中通\"}}")
                .values()
                .get("shipping_info");
        assertThat(Overlay.apply(before, stated, ORDER.field("shipping_info")))
                .isEqualTo(Json.read("{\"carrier\":\"ZTO\"}"));
    }

    @Test
    void aSchemaFileThatIsWrongIsNamedWithItsFieldAndWhatToWrite(@TempDir Path routes) throws Exception {
        Path folder = Files.createDirectory(routes.resolve("things"));
        Files.writeString(
                folder.resolve("thing.schema.yaml"),
                "entity: thing\nplural: things\nkey: id\nsystems: [app]\nproperties:\n  a: {type: string, rule: latest}\n");
        assertThatThrownBy(() -> Schemas.load(routes))
                .hasMessageContaining("thing.schema.yaml")
                .hasMessageContaining("a.rule")
                .hasMessageContaining("newest");
    }

    @Test
    void aKeywordWithAValueThatItCannotHaveIsNamed(@TempDir Path routes) throws Exception {
        Path folder = Files.createDirectory(routes.resolve("things"));
        for (Map.Entry<String, String> wrong : Map.of(
                        "type: string, maxLength: sixty", "a.maxLength",
                        "type: string, minLength: -1", "a.minLength",
                        "type: number, decimals: 1.5", "a.decimals",
                        "type: string, personal: sometimes", "a.personal",
                        "type: string, pattern: '[A-Z'", "a.pattern",
                        "type: string, default: 5", "a.default",
                        "type: array, maxItems: many, items: {type: string}", "a.maxItems",
                        "type: object, properties: {b: {type: string}}, required: [c]", "a.required")
                .entrySet()) {
            Files.writeString(
                    folder.resolve("thing.schema.yaml"),
                    "entity: thing\nplural: things\nkey: id\nsystems: [app]\nproperties:\n  a: {rule: newest, "
                            + wrong.getKey() + "}\n");
            assertThatThrownBy(() -> Schemas.load(routes))
                    .as(wrong.getKey())
                    .hasMessageContaining("thing.schema.yaml")
                    .hasMessageContaining(wrong.getValue());
        }
    }
}
