"""The objects of a schema that may contain values: queries of the system catalogs.

Each query returns a schema and a name; the schema is NULL for objects without one. A literal is a
text in quotes or a number of five digits or more, which may identify somebody.
"""

from collections.abc import Mapping

COMMENT = "comment"
PUBLICATION = "publication with a literal"
SECURITY_LABEL = "security label"
# In SQL, a regular expression that finds a literal in an expression as PostgreSQL prints it.
_LITERAL = r"""'''|\m[0-9][0-9.]{4}'"""
QUERIES: Mapping[str, str] = {
    "column default with a literal": f"""
        SELECT nspname, relname || '.' || attname
        FROM pg_attrdef
        JOIN pg_class c ON c.oid = adrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
        WHERE pg_get_expr(adbin, adrelid) ~ {_LITERAL}
            AND pg_get_expr(adbin, adrelid) !~ '^nextval[(]''[^'']*''::regclass[)]$'
    """,
    COMMENT: """
        SELECT schema, coalesce(identity, description.classoid::regclass::text)
        FROM pg_description AS description, pg_identify_object(classoid, objoid, objsubid)
        -- Comments from initdb are harmless, but that on the schema public may have changed.
        WHERE objoid >= 16384 OR classoid = 'pg_largeobject'::regclass
            OR identity = 'public' AND description <> 'standard public schema'
        UNION ALL
        SELECT NULL, 'the database' FROM pg_shdescription JOIN pg_database d ON d.oid = objoid
        WHERE classoid = 'pg_database'::regclass AND datname = current_database()
    """,
    "index with a literal": f"""
        SELECT nspname, c.relname
        FROM pg_index
        JOIN pg_class c ON c.oid = indexrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE (indexprs IS NOT NULL OR indpred IS NOT NULL)
            AND coalesce(pg_get_expr(indexprs, indrelid), '')
                || coalesce(pg_get_expr(indpred, indrelid), '') ~ {_LITERAL}
    """,
    "constraint with a literal": f"""
        SELECT nspname, coalesce(relname, typname) || '.' || conname
        FROM pg_constraint
        JOIN pg_namespace n ON n.oid = connamespace
        LEFT JOIN pg_class c ON c.oid = conrelid
        LEFT JOIN pg_type t ON t.oid = contypid
        WHERE contype = 'c' AND pg_get_constraintdef(pg_constraint.oid) ~ {_LITERAL}
    """,
    "partition whose bounds have a literal": f"""
        SELECT nspname, relname
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relispartition AND pg_get_expr(relpartbound, c.oid) ~ {_LITERAL}
    """,
    "view with a literal": f"""
        SELECT nspname, relname
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('v', 'm') AND pg_get_viewdef(c.oid) ~ {_LITERAL}
    """,
    "rule with a literal": f"""
        SELECT nspname, relname || '.' || rulename
        FROM pg_rewrite r
        JOIN pg_class c ON c.oid = ev_class
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE rulename <> '_RETURN' AND pg_get_ruledef(r.oid) ~ {_LITERAL}
    """,
    "policy with a literal": f"""
        SELECT nspname, relname || '.' || polname
        FROM pg_policy
        JOIN pg_class c ON c.oid = polrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
            ~ {_LITERAL}
    """,
    "trigger with a literal": f"""
        SELECT nspname, relname || '.' || tgname
        FROM pg_trigger t
        JOIN pg_class c ON c.oid = tgrelid
        JOIN pg_namespace n ON n.oid = relnamespace
        WHERE NOT tgisinternal AND pg_get_triggerdef(t.oid) ~ {_LITERAL}
    """,
    "statistics with a literal": f"""
        SELECT nspname, stxname
        FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = stxnamespace
        WHERE pg_get_statisticsobjdef(s.oid) ~ {_LITERAL}
    """,
    "default of a type": """
        SELECT nspname, typname
        FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
        WHERE typdefault IS NOT NULL
    """,
    "labels of an enum": """
        SELECT nspname, typname
        FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
        WHERE typtype = 'e'
    """,
    "function": """
        SELECT nspname, proname
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
        JOIN pg_language l ON l.oid = prolang
        WHERE (
            lanname NOT IN ('c', 'internal')
            OR proargdefaults IS NOT NULL OR proconfig IS NOT NULL
        ) AND NOT EXISTS (
            SELECT FROM pg_depend
            WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e'
        )
    """,
    "partition key with a literal": f"""
        SELECT nspname, relname
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind = 'p' AND pg_get_partkeydef(c.oid) ~ {_LITERAL}
    """,
    "storage parameter with a literal": f"""
        SELECT nspname, concat_ws('.', relname, attname)
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = relnamespace
        CROSS JOIN LATERAL (
            SELECT NULL::text, reloptions::text
            UNION ALL
            SELECT NULL, t.reloptions::text FROM pg_class t WHERE t.oid = c.reltoastrelid
            UNION ALL
            SELECT attname, attoptions::text FROM pg_attribute WHERE attrelid = c.oid
        ) AS set (attname, options)
        WHERE options ~ {_LITERAL}
    """,
    "aggregate with an initial value": """
        SELECT nspname, proname
        FROM pg_aggregate
        JOIN pg_proc p ON p.oid = aggfnoid
        JOIN pg_namespace n ON n.oid = pronamespace
        WHERE concat(agginitval, aggminitval) ~ '[1-9[:alpha:]]'
    """,
    "text search dictionary with options": """
        SELECT nspname, dictname
        FROM pg_ts_dict JOIN pg_namespace n ON n.oid = dictnamespace
        WHERE dictinitoption IS NOT NULL
    """,
    "collation with rules": """
        SELECT nspname, collname
        FROM pg_collation c JOIN pg_namespace n ON n.oid = collnamespace
        WHERE to_jsonb(c) ->> 'collicurules' IS NOT NULL  -- since PostgreSQL 16
    """,
    "rules of the database's collation": """
        SELECT NULL, 'the database' FROM pg_database d
        WHERE datname = current_database()
            AND to_jsonb(d) ->> 'daticurules' IS NOT NULL  -- since PostgreSQL 16
    """,
    "values of a sequence": """
        SELECT schemaname, sequencename FROM pg_sequences
        WHERE greatest(
            abs(start_value::numeric), abs(increment_by::numeric), abs(last_value::numeric),
            cache_size::numeric
        ) >= 10000
        OR abs(min_value::numeric) >= 10000
            AND min_value NOT IN (-32768, -2147483648, -9223372036854775808)
        OR abs(max_value::numeric) >= 10000
            AND max_value NOT IN (32767, 2147483647, 9223372036854775807)
    """,
    SECURITY_LABEL: """
        SELECT schema, coalesce(identity, label.classoid::regclass::text)
        FROM pg_seclabel AS label, pg_identify_object(classoid, objoid, objsubid)
        UNION ALL
        SELECT NULL, 'the database' FROM pg_shseclabel JOIN pg_database d ON d.oid = objoid
        WHERE classoid = 'pg_database'::regclass AND datname = current_database()
    """,
    # Their names may be those of people.
    "role that owns something or has rights": """
        SELECT NULL, rolname
        FROM pg_shdepend JOIN pg_roles r ON r.oid = refobjid
        WHERE refclassid = 'pg_authid'::regclass AND (
            dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
            OR classid = 'pg_database'::regclass
                AND objid = (SELECT oid FROM pg_database WHERE datname = current_database())
        )
    """,
}
# Publications have conditions since PostgreSQL 15.
SINCE_15: Mapping[str, str] = {
    PUBLICATION: f"""
        SELECT NULL, format('%s for %s', pubname, prrelid::regclass)
        FROM pg_publication_rel JOIN pg_publication p ON p.oid = prpubid
        WHERE pg_get_expr(prqual, prrelid) ~ {_LITERAL}
    """,
}
