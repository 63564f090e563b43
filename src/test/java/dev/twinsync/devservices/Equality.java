package dev.twinsync.devservices;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.record.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Whether both ends hold the same: each row as capture's own SQL tells it, beside the mini-program's record, field by
 * field. Absent, null and empty are one; numbers and moments are equal by value.
 *
 * @param records of the app
 * @param differing the first ids that are not the same at both ends, or at one end alone
 */
public record Equality(int records, List<String> differing) {

    private static final int MOST = 20;

    /** @param plural as the folder of the entity's flows is named */
    public static Equality of(Connection connection, MiniProgram mini, String entity, String plural)
            throws SQLException, IOException {
        String sql = Files.readString(Path.of("routes", plural, "read-app-" + plural + ".sql"))
                .replaceAll("where \\S+ = any \\(:\\?ids\\)", "");
        List<String> differing = new ArrayList<>();
        Set<String> alone = new HashSet<>(mini.ids(entity));
        int records = 0;
        // with a transaction the rows come as they are read, and not all at once
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(2000);
            try (ResultSet rows = statement.executeQuery(sql)) {
                while (rows.next()) {
                    records++;
                    String id = rows.getString("id");
                    alone.remove(id);
                    if (differing.size() < MOST && !same(Json.read(rows.getString("data")), mini.read(entity, id))) {
                        differing.add(id);
                    }
                }
            }
        } finally {
            connection.rollback();
        }
        alone.stream().limit(MOST).forEach(differing::add);
        return new Equality(records, differing);
    }

    private static boolean none(JsonNode value) {
        return value == null
                || value.isNull()
                || value.isContainerNode() && value.valueStream().allMatch(Equality::none);
    }

    private static boolean same(JsonNode app, JsonNode mini) {
        if (none(app) || none(mini)) {
            return none(app) && none(mini);
        }
        if (app.isObject()) {
            Set<String> names = new HashSet<>();
            app.fieldNames().forEachRemaining(names::add);
            mini.fieldNames().forEachRemaining(names::add);
            return names.stream().allMatch(name -> same(app.get(name), mini.get(name)));
        }
        if (app.isArray()) {
            boolean same = app.size() == mini.size();
            for (int i = 0; same && i < app.size(); i++) {
                same = same(app.get(i), mini.get(i));
            }
            return same;
        }
        if (app.isNumber()) {
            return app.decimalValue().compareTo(mini.decimalValue()) == 0;
        }
        if (app.equals(mini)) {
            return true;
        }
        return app.asText().contains("T")
                && mini.asText().contains("T")
                && OffsetDateTime.parse(app.asText()).isEqual(OffsetDateTime.parse(mini.asText()));
    }
}
