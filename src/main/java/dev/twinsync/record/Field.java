package dev.twinsync.record;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import java.util.Set;

/**
 * One field of an entity, as its schema file declares it.
 *
 * @param name the canonical name, snake_case
 * @param rule how two systems' values are settled
 * @param owner the system whose value wins; only with {@link Rule#OWNER}
 * @param byKey an object whose keys are settled one by one, as paths {@code name.key}
 * @param newestWhile other field = value that must have held before the observation for {@link Rule#NEWEST} to apply;
 *     otherwise the field is settled as {@link Rule#FIRST}; empty for all other fields
 * @param defaultValue filled when a record is made, with the lowest time; null for none. The text {@code observed_at}
 *     in the schema file means the first observation's time and is given here as {@link #defaultsToObservedAt}
 * @param defaultsToObservedAt the default is the time of the first observation
 * @param systems the systems that can hold the field
 * @param requiredAt the systems that cannot store a record without it
 * @param personal masked wherever a person who has not asked for it might see it
 * @param flow the status table of a {@link Rule#FORWARD} field, else null
 */
public record Field(
        String name,
        Rule rule,
        String owner,
        boolean byKey,
        Map<String, JsonNode> newestWhile,
        JsonNode defaultValue,
        boolean defaultsToObservedAt,
        Set<String> systems,
        Set<String> requiredAt,
        boolean personal,
        StatusFlow flow) {}
